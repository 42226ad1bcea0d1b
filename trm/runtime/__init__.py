"""Processes and devices: starting workers, talking between them, and stopping them."""
