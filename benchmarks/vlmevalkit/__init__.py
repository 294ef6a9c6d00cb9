"""Load VLMEvalKit's dataset classes without importing the whole package."""
