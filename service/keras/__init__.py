"""The Keras side of the engine: loading, replaying and differentiating networks. The only TensorFlow code here."""

import os

# TensorFlow reads it once, as it is loaded. By itself it leaves oneDNN off on processors without AVX-512, where
# networks with constant kernels gain from it too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
