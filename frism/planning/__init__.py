"""What a study will cost before it runs: time, memory and disk per stage, on a machine known by its rates."""
