"""Checkpoints for others: pushed to the Hub with a model card, imported and exported."""
