"""Label-free self-distillation: the VLM's own answers to unlabelled questions, and KL to them."""
