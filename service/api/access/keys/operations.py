"""Which operation a request asks for, by the routes of the application itself, in the order in which it tries them."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from service.api.access.callers import Role

_UNKNOWN: Final[Role] = "admin"
_Lines = list[tuple[re.Pattern[str], Role]]


class Operations:
    """The routes with the roles that they need; one that is not in the table needs `admin`."""

    def __init__(self, routes: Sequence[BaseRoute], roles: Mapping[str, Role]) -> None:
        # Within routers and mounted applications too. What is mounted takes all methods.
        known = [(route.methods, route.path or "", route.path_regex) for route in iter_route_contexts(routes)]
        self._others: _Lines = [(pattern, _UNKNOWN) for methods, _, pattern in known if methods is None]
        self._lines: dict[str, _Lines] = {
            method: [
                (pattern, _role(roles, method, path))
                for methods, path, pattern in known
                if methods is None or method in methods
            ]
            for method in {method for methods, *_ in known for method in methods or ()}
        }

    def find_role(self, method: str, path: str) -> Role | None:
        """What is needed; None where there is no such operation, which the router will say."""
        lines = self._lines.get(method, self._others)
        return next((role for pattern, role in lines if pattern.match(path)), None)


def _role(roles: Mapping[str, Role], method: str, path: str) -> Role:
    return roles.get(f"{'GET' if method == 'HEAD' else method} {path}", _UNKNOWN)
