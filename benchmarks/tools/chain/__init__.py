"""Check the chain behind a study's numbers: what `frism verify` computes again."""
