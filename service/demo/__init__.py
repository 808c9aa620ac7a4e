"""The built-in models, `shapes` and `glyphs`: what the program draws for them, their networks and their training."""
