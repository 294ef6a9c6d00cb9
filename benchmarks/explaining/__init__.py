"""What a study's gates learned and why it matters, table by table; `benchmarks.explain` writes them."""
