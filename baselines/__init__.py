"""Hold the merging methods to compare with, one file each; the file name is the method's name."""
