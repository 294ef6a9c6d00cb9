"""From scores to rows: one file per table that a study ends in."""
