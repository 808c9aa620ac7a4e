"""The built-in demo model `shapes`: scenes drawn by the program, and the small network trained on them."""
