"""The built-in tasks, one package each, and the base class and tools that they share."""
