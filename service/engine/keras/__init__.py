"""The Keras side of the engine: loading, replaying and differentiating networks. The only TensorFlow code here."""
