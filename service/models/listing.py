"""What is told of the models in memory and on their way there, version by version. Looks and loads nothing."""

from schemas.models import ModelList, ModelState, ModelSummary, VersionState
from service.models.catalog import Catalog
from service.models.facts import input_contract
from service.models.residency import Resident
from service.models.sources.source import ModelVersion


def list_models(catalog: Catalog) -> ModelList:
    """Every model's summary."""
    details = [summarise(catalog, name) for name in catalog.names()]
    return ModelList(models=[detail.name for detail in details], details=details)


def summarise(catalog: Catalog, name: str) -> ModelSummary:
    """The state of the version that is served, and of all that are not merely available. Raises ModelNotFoundError."""
    served = catalog.find(name)
    resident = catalog.residency.find(served)
    facts = catalog.find_facts(name)
    state, reason = describe_state(resident)
    return ModelSummary(
        name=name,
        versions=catalog.list_versions(name),
        state=state,
        reason=reason or _explain_newest(catalog, name, served),
        since=None if resident is None else resident.since,
        states=[_state_of(each) for each in catalog.residency.list(name)],
        task=facts.network_info.task if facts else None,
        input=input_contract(facts) if facts else None,
    )


def summarise_version(catalog: Catalog, name: str, version: str | None) -> ModelSummary:
    """A model's summary with the state of one version. Raises ModelNotFoundError or VersionNotFoundError."""
    resident = catalog.find_resident(name, version)
    state, reason = describe_state(resident)
    told = {"state": state, "reason": reason, "since": None if resident is None else resident.since}
    summary = summarise(catalog, name)
    return summary if version is None else summary.model_copy(update=told)


def describe_state(resident: Resident | None) -> tuple[ModelState, str | None]:
    """What is not in memory is available: whoever asks has it loaded."""
    if resident is None:
        return "available", None
    failure = resident.failure
    return resident.state, None if failure is None else failure.reason


def _explain_newest(catalog: Catalog, name: str, served: ModelVersion) -> str | None:
    """Why the newest version is not the one that is served, where it has failed."""
    newest = catalog.list_versions(name)[0]
    resident = catalog.find_resident(name, newest)
    if resident is None or resident.version == served or resident.failure is None:
        return None
    return f"version {newest} failed, version {served.version} is served: {resident.failure.reason}"


def _state_of(resident: Resident) -> VersionState:
    state, reason = describe_state(resident)
    return VersionState(
        version=resident.version.version, state=state, reason=reason, since=resident.since, bytes=resident.cost
    )
