"""Which axes of each tensor are the picture's height, width and channels."""
