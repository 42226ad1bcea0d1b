"""The built-in tasks, one package each, and what every task is made of."""
