"""Every method there is. A line here, its import, makes a method's route, OpenAPI entry and `/v1/methods` entry.

Methods are shown in the order of these lines.
"""
# ruff: noqa: F401, I001

from service.engine.kinds.method import AnyMethod, Method
from service.engine.methods.predictions import PREDICTIONS
from service.engine.methods.layers.activations import ACTIVATIONS
from service.engine.methods.layers.filters import FILTERS
from service.engine.methods.heatmaps.grad_cam import GRAD_CAM
from service.engine.methods.features.filter_patterns import FILTER_PATTERNS
from service.engine.methods.layers.layer_health import LAYER_HEALTH
from service.engine.methods.layers.unit_activations import UNIT_ACTIVATIONS
from service.engine.methods.layers.top_images import TOP_IMAGES
from service.engine.methods.autoencoders.reconstruction import AUTOENCODER_RECONSTRUCTION
from service.engine.methods.autoencoders.coefficients import AUTOENCODER_COEFFICIENTS
from service.engine.methods.autoencoders.latents import AUTOENCODER_LATENTS
from service.engine.methods.autoencoders.traversal import AUTOENCODER_TRAVERSAL

METHODS: dict[str, AnyMethod] = {each.name: each for each in tuple(globals().values()) if isinstance(each, Method)}
