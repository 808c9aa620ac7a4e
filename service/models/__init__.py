"""Which models are at hand. Knows the folder layout and the engine; no web framework, no TensorFlow of its own."""
