"""From a study's config to the work that its plan counts."""
