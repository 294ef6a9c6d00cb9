"""Make the audit page of a study: a static folder in which every number opens, down to the answers."""
