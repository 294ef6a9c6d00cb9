"""Say what of a study each stage reads; what a stage can read is what makes its jobs run again."""
