"""Logs tiny networks to an MLflow server as its users do: `log_models.py SERVER PACKAGES`, with Keras from here.

MLflow's own loggers need its whole package, which lies in PACKAGES. Prints the URIs of what it logged as JSON.
"""

import json
import os
import sys

os.environ |= {"MLFLOW_TRACKING_URI": sys.argv[1], "MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Behind our own packages: only what is missing there comes from it.
sys.path.append(sys.argv[2])

import keras
import mlflow.keras
import mlflow.models
import mlflow.tensorflow
import numpy as np

PLAIN = {"name": "model", "pip_requirements": ["keras"]}


def network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="maps")(image)
    vector = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(vector))


def main() -> None:
    first = mlflow.keras.log_model(network(1), registered_model_name="cats", **PLAIN)
    mlflow.keras.log_model(network(2), registered_model_name="cats", **PLAIN)
    mlflow.MlflowClient().set_registered_model_alias("cats", "champion", "1")
    mlflow.tensorflow.log_model(network(3), registered_model_name="flavored", **PLAIN)
    # Keras 2's way, in which older models of that flavour lie in registries.
    hdf5 = {"save_format": "h5"}
    mlflow.tensorflow.log_model(network(5), registered_model_name="older", keras_model_kwargs=hdf5, **PLAIN)
    pictures = np.zeros((1, 16, 16, 3), np.float32)
    signature = mlflow.models.infer_signature(pictures, np.zeros((1, 3), np.float32))
    mlflow.keras.log_model(
        network(4), registered_model_name="exported", save_exported_model=True, signature=signature, **PLAIN
    )
    print(json.dumps({"logged": first.model_uri}))


if __name__ == "__main__":
    main()
