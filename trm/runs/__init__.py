"""The files of a run folder: checkpoints, records, lock and links. No torch."""
