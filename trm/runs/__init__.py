"""What lies in a run folder: checkpoints, records, lock and links. No torch."""
