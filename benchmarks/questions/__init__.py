"""Make the items of a study: questions with pictures and prompts, from published TSVs or the miniature."""
