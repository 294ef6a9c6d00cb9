"""B, V and R as one: architectures, how their tensors correspond, why some do not belong together."""
