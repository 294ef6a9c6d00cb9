"""Put finished studies of several triples side by side: `frism across`."""
