"""Run analyses of a variant: find them, draw questions, change a loaded model and restore it, score."""
