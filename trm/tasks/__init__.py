"""The tasks: what a task has to provide, and the built-in ones."""
