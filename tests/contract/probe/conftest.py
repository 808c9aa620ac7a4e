"""Every adapter, for the one suite that each must pass. Another framework's is a Subject, and a line in ADAPTERS."""

from collections.abc import Callable

import pytest

from tests.contract.probe.closed_form import closed_form
from tests.contract.probe.subjects import Network, Subject


def keras() -> Subject:
    # TensorFlow is paid for by those who ask for it.
    from tests.contract.probe.keras_networks import plain

    return plain()


def tuned_keras() -> Subject:
    from tests.contract.probe.keras_networks import tuned

    return tuned()


ADAPTERS: dict[str, Callable[[], Subject]] = {
    "closed form": closed_form,
    "Keras": keras,
    "tuned Keras": tuned_keras,
}


@pytest.fixture(scope="session", params=list(ADAPTERS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return ADAPTERS[request.param]()


@pytest.fixture(params=["classifier", "binary"])
def scoring(request: pytest.FixtureRequest, subject: Subject) -> Network:
    """A network that gives class scores."""
    return subject.classifier if request.param == "classifier" else subject.binary
