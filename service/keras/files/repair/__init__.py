"""What older Keras wrote otherwise, made readable on a copy. What may be loaded at all is judged elsewhere."""
