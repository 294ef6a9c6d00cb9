"""Name what stands in the table of rank blocks beside the blocks (prose needs the words, and no torch)."""

NONE, WHOLE = "none", "all"  # the unmodified model, and plain injection of every direction
