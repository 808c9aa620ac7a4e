"""What kind of operation a call is, by Keras's own names.

A class of somebody's own may do anything, under whatever name.
"""

import keras


def is_keras_own(operation: keras.Operation) -> bool:
    """Whether its class is Keras's, and none that was made from it."""
    return type(operation).__module__.startswith("keras.")


def kind_of(operation: keras.Operation) -> str:
    """The name of its class; with its module, and so in no table, where that is not Keras's."""
    kind = type(operation)
    return kind.__name__ if is_keras_own(operation) else f"{kind.__module__}.{kind.__name__}"
