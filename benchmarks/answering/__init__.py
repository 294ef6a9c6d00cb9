"""Answer questions with a variant: engines, batches, decoding, predictions on disk."""
