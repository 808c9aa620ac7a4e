"""What each operation needs: the one table from an operation to a role. What is not in it, only `admin` may do."""

from collections.abc import Iterable, Mapping
from typing import Final

from service.api.access import PROBES
from service.api.access.callers import Role
from service.api.access.keys.key_file import ROLES

# Without a key: what the page and the viewer are made of, what an error means, and whether the service lives.
FREE_PATHS: Final = PROBES | {"/docs", "/openapi.json", "/ui"}
FREE_FOLDERS: Final = ("/docs/", "/problems/", "/ui/", "/v2/health/")
START: Final = ("", "/")
METRICS: Final = "/metrics"
# To compute; for every method there is, so that a new one needs no line here.
METHODS_NEED: Final[Role] = "use"
OPERATIONS: Final[Mapping[str, Role]] = {
    "GET /v1/models": "read",
    "GET /v1/models/{model}": "read",
    "GET /v1/models/{model}/layers": "read",
    "GET /v1/models/{model}/versions/{version}": "read",
    "GET /v1/models/{model}/versions/{version}/layers": "read",
    "GET /v1/methods": "read",
    "GET /v1/datasets": "read",
    "GET /metrics": "read",
    "GET /version": "read",
    "GET /v1/jobs": "use",
    "GET /v1/jobs/{job}": "use",
    "GET /v1/jobs/{job}/events": "use",
    "GET /v1/jobs/{job}/images/{name}": "use",
    "POST /v1/jobs/{job}/cancel": "use",
    "DELETE /v1/jobs/{job}": "use",
    "GET /v1/webhooks/secret": "use",
    "POST /v1/webhooks/secret/rotate": "use",
    "POST /v1/models/{model}/load": "admin",
    "POST /v1/models/{model}/unload": "admin",
    "POST /v1/models/{model}/versions/{version}/load": "admin",
    "POST /v1/models/{model}/versions/{version}/unload": "admin",
}


def roles_of(methods: Iterable[str]) -> dict[str, Role]:
    """The table, with the operations of the methods of these names."""
    places = ("/v1/models/{model}", "/v1/models/{model}/versions/{version}")
    return {**{f"POST {place}/{method}": METHODS_NEED for method in methods for place in places}, **OPERATIONS}


def is_free(method: str, path: str) -> bool:
    """Whether a path within the service needs no key; `/metrics` may need none by a setting."""
    if path in START:
        return method in ("GET", "HEAD")
    return path in FREE_PATHS or path.startswith(FREE_FOLDERS)


def suffices(role: Role, needed: Role) -> bool:
    """Whether a role may do what another one is needed for."""
    return ROLES.index(role) >= ROLES.index(needed)
