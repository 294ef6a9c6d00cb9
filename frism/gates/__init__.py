"""Gates on singular directions: what they parametrise, how they run in a model, how they are learned."""
