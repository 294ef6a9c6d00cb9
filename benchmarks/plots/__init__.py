"""The study's figures, one module each, and what they share: the look and the placing of labels."""
