"""Self-distillation without labels: the VLM's own answers to unlabelled questions, and KL to them."""
