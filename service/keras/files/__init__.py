"""A file to a network that has run once. What is refused stands in `admission`, what is mended in `repair`."""
