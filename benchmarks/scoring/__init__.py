"""Score answers: extract them, judge them, apply VLMEvalKit's metrics."""
