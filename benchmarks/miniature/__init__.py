"""The miniature triple: a small synthetic world, three small real models, and their training."""
