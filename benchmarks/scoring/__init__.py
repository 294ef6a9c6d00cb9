"""Score answers: extraction, judges, VLMEvalKit's metrics."""
