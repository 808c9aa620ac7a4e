"""The models of a method's answers, for OpenAPI alone: results whose numbers are the method's own."""

from functools import reduce
from operator import or_

from pydantic import BaseModel, Field, create_model

from schemas.jobs import Job, JobResult
from schemas.results import Answer, Result
from service.api.method_bodies import component_name
from service.engine.kinds.method import AnyMethod


def answer_model(method: AnyMethod) -> object:
    """What 200 may hold: the result; where a job answers, its result or the job. A model, or a union of some."""
    kinds = (JobResult,) if method.kind == "job" else (Result, JobResult)
    models: list[type[BaseModel]] = [*(_own(method, kind) for kind in kinds), Job]
    union: object = reduce(or_, models)
    return union


def _own(method: AnyMethod, base: type[Answer]) -> type[Answer]:
    """`base` under a name of the method's own, its values those that the method states."""
    name, said = component_name(method, base.__name__), f"A result of `{method.name}`."
    # At once there is one picture, and one version of the model.
    models = method.values if base is Result else method.value_models
    about = base.model_fields["values"].description
    return create_model(name, __base__=base, __doc__=said, values=(reduce(or_, models), Field(description=about)))
