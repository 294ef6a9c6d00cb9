"""FRISM and its relatives: methods that act on the singular directions of tau_R, one file each."""
