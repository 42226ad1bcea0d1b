"""The files of the published trainer: reading and writing its checkpoints."""
