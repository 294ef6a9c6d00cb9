"""Run one stage of a study: a command per workflow rule."""
