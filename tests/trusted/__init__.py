"""A package as an operator might trust it: layers of somebody's own, and things in it that no model file may reach."""

from os import system

from keras import layers as keras_layers
from keras.layers import Lambda
from keras.layers import Lambda as Harmless

from tests.trusted import faults, layers

__all__ = ["Harmless", "Lambda", "faults", "keras_layers", "layers", "system"]
