"""Figures of trained models, each with the puzzles and the way of thinking that it is of."""
