"""Where questions come from: published tables, what VLMEvalKit declares of them, and how they are split."""
