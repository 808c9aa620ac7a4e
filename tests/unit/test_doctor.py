"""What the doctor says of a model, and how sure it is."""

from dataclasses import replace

import pytest

from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.ports.network_info import LayerInfo
from service.models.doctor import describe_alone, examine
from tests.unit.fakes import ClosedFormProbe, closed_form_model

WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def _model(stated: frozenset[str] = frozenset(), **facts: object) -> Model:
    probe = ClosedFormProbe(WEIGHTS)
    probe.network_info = replace(probe.network_info, **facts)  # type: ignore[arg-type]
    return closed_form_model(WEIGHTS, probe=probe, stated=stated)


def _say(model: Model) -> dict[str, tuple[str | None, str]]:
    return {finding.subject: (finding.value, finding.sure) for finding in examine(model)}


def test_network_is_certain_of_itself_when_it_says_all():
    assert _say(_model()) == {
        "input": ("4 x 6 x 3", "certain"),
        "fit": ("stretch", "guess"),
        "preprocessing": ("none", "guess"),
        "task": ("classification", "certain"),
        "logits": ("logit", "certain"),
        "default_layer": ("maps", "certain"),
    }


def test_owner_is_believed_when_the_card_states_it():
    said = _say(_model(frozenset({"preprocessing", "task", "default_layer", "fit"})))
    assert {subject for subject, (_, sure) in said.items() if sure == "stated"} == {
        "preprocessing",
        "task",
        "default_layer",
        "fit",
    }


def test_nothing_is_said_of_fit_when_the_network_takes_any_size():
    open_model = _model(input_shape=(None, None, 3))
    assert "fit" not in _say(open_model)
    assert _say(replace(open_model, input_size=(8, 8)))["fit"] == ("stretch", "guess")


def test_preprocessing_is_certain_when_the_network_rescales():
    rescaling = LayerInfo("rescaling", "Rescaling", (None, 4, 6, 3), None, None, 0)
    assert _say(_model(layers=(rescaling, *_model().network_info.layers)))["preprocessing"] == ("none", "certain")


def test_default_layer_is_likely_when_there_are_others():
    findings = {finding.subject: finding for finding in examine(_model(other_layers=("left", "right")))}
    assert findings["default_layer"].sure == "likely"
    assert "left, right" in findings["default_layer"].because


def test_latent_layer_is_told_when_the_card_states_it():
    model = replace(_model(), latent_layer="scores")
    assert _say(model)["latent_layer"] == ("scores", "stated")


def test_nothing_is_said_of_classes_when_there_are_none():
    said = _say(_model(classes=None, task="features", input_shape=None))
    assert said == {"input": (None, "certain"), "task": ("features", "likely")}


@pytest.mark.parametrize("task", ["classification", "binary", "regression", "autoencoder", "features"])
def test_every_task_is_explained_when_it_is_guessed(task: str):
    finding = next(finding for finding in examine(_model(task=task)) if finding.subject == "task")
    assert finding.value == task
    assert finding.because


def test_methods_say_why_when_they_cannot_work():
    detail = describe_alone(_model(classes=None, task="features"), list(METHODS.values()))
    reasons = {method.name: method.reason for method in detail.methods}
    assert reasons["activations"] is None
    assert "no class scores" in (reasons["grad-cam"] or "")
