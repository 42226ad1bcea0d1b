"""Everything people look at: tables, progress, boards as they change."""
