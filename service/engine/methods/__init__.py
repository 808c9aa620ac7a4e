"""Every method there is. One line here makes a method's route, OpenAPI entry and `/v1/methods` entry."""

from service.engine.kinds.method import AnyMethod
from service.engine.methods.autoencoders.coefficients import AUTOENCODER_COEFFICIENTS
from service.engine.methods.autoencoders.latents import AUTOENCODER_LATENTS
from service.engine.methods.autoencoders.reconstruction import AUTOENCODER_RECONSTRUCTION
from service.engine.methods.autoencoders.traversal import AUTOENCODER_TRAVERSAL
from service.engine.methods.features.filter_patterns import FILTER_PATTERNS
from service.engine.methods.heatmaps.grad_cam import GRAD_CAM
from service.engine.methods.layers.activations import ACTIVATIONS
from service.engine.methods.layers.filters import FILTERS
from service.engine.methods.layers.layer_health import LAYER_HEALTH
from service.engine.methods.layers.top_images import TOP_IMAGES
from service.engine.methods.layers.unit_activations import UNIT_ACTIVATIONS
from service.engine.methods.predictions import PREDICTIONS

METHODS: dict[str, AnyMethod] = {
    method.name: method
    for method in (
        PREDICTIONS,
        ACTIVATIONS,
        FILTERS,
        GRAD_CAM,
        FILTER_PATTERNS,
        LAYER_HEALTH,
        UNIT_ACTIVATIONS,
        TOP_IMAGES,
        AUTOENCODER_RECONSTRUCTION,
        AUTOENCODER_COEFFICIENTS,
        AUTOENCODER_LATENTS,
        AUTOENCODER_TRAVERSAL,
    )
}
