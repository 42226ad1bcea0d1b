"""What goes to the Hub: a checkpoint with a model card, by hand or during training."""
