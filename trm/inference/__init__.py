"""A trained model that answers: puzzles in, solutions out."""
