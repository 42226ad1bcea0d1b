"""Training, evaluation, checkpoints and asking a trained model."""
