"""Turn scores into tables: one file per table of a study."""
