"""Take predictions that other harnesses wrote: read them, match them to questions, store, score, compare."""
