"""Look up benchmarks: our definitions, the prepared table, every name of VLMEvalKit and lm-eval."""
