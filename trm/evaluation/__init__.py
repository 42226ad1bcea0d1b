"""Measuring a trained model on a dataset."""
