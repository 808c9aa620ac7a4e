"""What is known or guessed of a model, how sure it is, and why: for people who wonder about a wrong picture."""

from collections.abc import Iterator

from schemas.methods import MethodAvailability
from schemas.models import Finding, Layer, LayerList, ModelDetail, ModelSummary, ParameterCounts
from service.engine.kinds.method import AnyMethod
from service.engine.kinds.requirements import refuse_without_image
from service.engine.model import Model
from service.models.facts import input_contract

# Layers that bring a picture into the network's own units.
_INSIDE = ("Rescaling", "Normalization")
# How many layers from the input on are looked through for one.
_FIRST = 4


def describe(model: Model, summary: ModelSummary, methods: list[AnyMethod]) -> ModelDetail:
    """Everything about a model that is or was loaded, but for its layers; `summary` is the version's own."""
    network_info = model.network_info
    return ModelDetail(
        **{**dict(summary), "task": network_info.task, "input": input_contract(model)},
        ready=True,
        version=model.version,
        digest=model.digest,
        classes=[model.label(index) for index in range(network_info.classes)] if network_info.classes else None,
        logits=network_info.target_kind,
        default_layer=network_info.default_layer,
        parameters=count_parameters(model),
        findings=list(examine(model)),
        repairs=list(network_info.repairs),
        methods=[_availability(model, method) for method in methods],
    )


def describe_alone(model: Model, methods: list[AnyMethod]) -> ModelDetail:
    """The same of a model that stands in no repository."""
    summary = ModelSummary(name=model.name, versions=[model.version], state="ready")
    return describe(model, summary, methods)


def describe_unloaded(summary: ModelSummary, version: str | None = None) -> ModelDetail:
    """What can be said of a version that is not loaded, the newest by default, without loading it."""
    return ModelDetail(
        **{**dict(summary), "task": None, "input": None},
        ready=True,
        version=version or summary.versions[0],
        digest=None,
        classes=None,
        logits=None,
        default_layer=None,
        parameters=None,
        findings=[],
        repairs=[],
        methods=[],
    )


def list_layers(model: Model) -> LayerList:
    """Every layer in execution order, nested ones by path, with the totals of Keras's own summary."""
    layers = [
        Layer(
            index=index,
            path=facts.path,
            name=facts.name,
            type=facts.type,
            output_shape=list(facts.output_shape),
            kernel_shape=list(facts.kernel_shape) if facts.kernel_shape else None,
            bias_shape=list(facts.bias_shape) if facts.bias_shape else None,
            parameters=facts.parameters,
        )
        for index, facts in enumerate(model.network_info.layers)
    ]
    return LayerList(layers=layers, totals=count_parameters(model))


def count_parameters(model: Model) -> ParameterCounts:
    total, trainable = model.network_info.parameters, model.network_info.trainable_parameters
    return ParameterCounts(parameters=total, trainable=trainable, non_trainable=total - trainable)


def examine(model: Model) -> Iterator[Finding]:
    """The findings, in the order in which a picture goes through the model."""
    yield _input(model)
    if model.network_info.input_shape is not None:
        if None not in model.network_info.input_shape or model.input_size is not None:
            yield _fit(model)
        yield _preprocessing(model)
    yield _task(model)
    if model.network_info.classes is not None:
        yield _logits(model)
        yield _default_layer(model)
    if model.latent_layer is not None or model.network_info.latent is not None:
        yield _latent_layer(model)


def _input(model: Model) -> Finding:
    contract = input_contract(model)
    if contract is None:
        because = refuse_without_image(model.network_info) or ""
        return Finding(subject="input", value=None, sure="certain", because=because)
    size = f"{contract.height or 'any'} x {contract.width or 'any'} x {contract.channels}"
    if contract.height is None or contract.width is None:
        because = "the network takes any size; a picture keeps its own, its longer side at most 512"
        return Finding(subject="input", value=size, sure="likely", because=because)
    if "input_size" in model.stated:
        return Finding(subject="input", value=size, sure="stated", because="input_size in model.toml, or of the preset")
    return Finding(subject="input", value=size, sure="certain", because="the network's input has this shape")


def _fit(model: Model) -> Finding:
    if "fit" in model.stated:
        return Finding(subject="fit", value=model.fit, sure="stated", because="fit in model.toml, or of the preset")
    because = (
        "nothing says how pictures of another aspect came to this size in training; where they were not stretched, "
        'fit = "crop" (as in Teachable Machine) or "pad" in model.toml says so'
    )
    return Finding(subject="fit", value=model.fit, sure="guess", because=because)


def _preprocessing(model: Model) -> Finding:
    name = model.preprocessing.name
    inside = next((layer.path for layer in model.network_info.layers[:_FIRST] if layer.type in _INSIDE), None)
    if "preprocessing" in model.stated:
        because = "given with the model: in model.toml, by its preset, or by keras.applications"
        if inside is not None and name != "none":
            because += f"; but '{inside}' inside the network rescales as well: is that meant?"
        return Finding(subject="preprocessing", value=name, sure="stated", because=because)
    if inside is not None:
        because = f"'{inside}' brings the picture into the network's units"
        return Finding(subject="preprocessing", value=name, sure="certain", because=because)
    because = 'the file does not say: set preprocessing in model.toml, most networks take "unit", "tf" or "caffe"'
    return Finding(subject="preprocessing", value=name, sure="guess", because=because)


def _task(model: Model) -> Finding:
    task = model.network_info.task
    if "task" in model.stated:
        return Finding(subject="task", value=task, sure="stated", because="task in model.toml")
    if task == "classification" and model.network_info.classes == 1:
        because = "the output is a softmax of one unit, which is 1 whatever goes in: a sigmoid may have been meant"
        return Finding(subject="task", value=task, sure="guess", because=because)
    reasons = {
        "classification": ("certain", "the output ends in a softmax, or a sigmoid of several units"),
        "binary": ("certain", "the output is one sigmoid unit"),
        "regression": ("guess", "the output is a vector without softmax or sigmoid: classes from logits look the same"),
        "autoencoder": ("likely", "the output has the shape of the input"),
        "features": (
            "likely",
            f"the output is neither a vector of scores nor an autoencoder's: {model.network_info.no_latent}",
        ),
    }
    sure, because = reasons[task]
    return Finding.model_validate({"subject": "task", "value": task, "sure": sure, "because": because})


def _logits(model: Model) -> Finding:
    network_info = model.network_info
    sure = "likely" if network_info.target_kind == "value" else "certain"
    because = network_info.logits or ""
    return Finding.model_validate(
        {"subject": "logits", "value": network_info.target_kind, "sure": sure, "because": because}
    )


def _default_layer(model: Model) -> Finding:
    network_info = model.network_info
    name = network_info.default_layer
    if "default_layer" in model.stated:
        return Finding(
            subject="default_layer",
            value=name,
            sure="stated",
            because="default_layer in model.toml" + (f"; but {network_info.doubt}" if network_info.doubt else ""),
        )
    if name is None:
        because = "no maps enter a pooling or flattening: name a layer with every request"
        return Finding(subject="default_layer", value=None, sure="certain", because=because)
    if network_info.other_layers:
        because = f"the latest of several maps before space is given up; others: {', '.join(network_info.other_layers)}"
        because += f"; {network_info.doubt}" if network_info.doubt else ""
        return Finding(subject="default_layer", value=name, sure="likely", because=because)
    if network_info.doubt:
        return Finding(subject="default_layer", value=name, sure="likely", because=network_info.doubt)
    because = "its maps enter the operation that gives up height and width"
    return Finding(subject="default_layer", value=name, sure="certain", because=because)


def _latent_layer(model: Model) -> Finding:
    name = model.latent_layer
    if name is None:
        assert model.network_info.latent is not None, "there is one of both"
        because = "the narrowest layer that all of the output is made from"
        return Finding(subject="latent_layer", value=model.network_info.latent.layer, sure="likely", because=because)
    member = "latent_layer" if "latent_layer" in model.stated else "decoder"
    because = f"{member} in model.toml"
    if model.network_info.no_latent is not None:
        because += f"; but the network is no autoencoder: {model.network_info.no_latent}"
    return Finding(subject="latent_layer", value=name, sure="stated", because=because)


def _availability(model: Model, method: AnyMethod) -> MethodAvailability:
    reason = method.refuse(model.network_info)
    return MethodAvailability(name=method.name, available=reason is None, reason=reason)
