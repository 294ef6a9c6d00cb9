"""One file per command of `frism`; heavy imports sit inside, so that `frism --help` is instant."""
