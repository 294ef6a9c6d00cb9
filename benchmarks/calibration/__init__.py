"""Load unlabelled calibration questions: VizWiz, any folder of pictures, the miniature world."""
