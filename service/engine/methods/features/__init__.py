"""Methods that make a picture by gradient ascent."""
