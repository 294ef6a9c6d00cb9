"""lm-eval tasks that read nothing from outside."""
