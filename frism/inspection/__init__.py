"""What `frism inspect` says of a triple."""
