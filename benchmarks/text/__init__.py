"""Ask language models text-only questions through lm-eval."""
