"""From a model's text to a score: extraction, judges, and how far two judges agree."""
