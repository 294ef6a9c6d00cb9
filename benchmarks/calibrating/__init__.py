"""Where calibration questions come from, and how their pictures and tables are read."""
