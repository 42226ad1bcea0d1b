"""Boards and figures as picture files. Needs matplotlib."""
