"""Every method there is. One line here makes a method's route, OpenAPI entry and `/v1/methods` entry."""

from service.engine.method import AnyMethod
from service.engine.methods.activations import ACTIVATIONS
from service.engine.methods.autoencoder_coefficients import AUTOENCODER_COEFFICIENTS
from service.engine.methods.autoencoder_latents import AUTOENCODER_LATENTS
from service.engine.methods.autoencoder_reconstruction import AUTOENCODER_RECONSTRUCTION
from service.engine.methods.autoencoder_traversal import AUTOENCODER_TRAVERSAL
from service.engine.methods.filter_patterns import FILTER_PATTERNS
from service.engine.methods.filters import FILTERS
from service.engine.methods.grad_cam import GRAD_CAM
from service.engine.methods.layer_health import LAYER_HEALTH
from service.engine.methods.predictions import PREDICTIONS
from service.engine.methods.responses import RESPONSES
from service.engine.methods.top_images import TOP_IMAGES

METHODS: dict[str, AnyMethod] = {
    method.name: method
    for method in (
        PREDICTIONS,
        ACTIVATIONS,
        FILTERS,
        GRAD_CAM,
        FILTER_PATTERNS,
        LAYER_HEALTH,
        RESPONSES,
        TOP_IMAGES,
        AUTOENCODER_RECONSTRUCTION,
        AUTOENCODER_COEFFICIENTS,
        AUTOENCODER_LATENTS,
        AUTOENCODER_TRAVERSAL,
    )
}
