"""Know the benchmarks that exist: definitions, the prepared table, every VLMEvalKit and lm-eval name."""
