"""Write prompts as VLMEvalKit does, family by family."""
