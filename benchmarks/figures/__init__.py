"""Draw a study's figures: one file per figure, and the style that they share."""
