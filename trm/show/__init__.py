"""What users see: tables, progress, boards and plots."""
