"""Ask questions: items with pictures and prompts, from published tables or the miniature world."""
