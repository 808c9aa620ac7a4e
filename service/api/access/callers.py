"""Who asks, as the routes and the jobs know it: an owner and a role. How that is found out is another file's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from starlette.types import Scope

# `read` looks at models, methods and metrics; `use` computes, and has its own jobs; `admin` does all, to all jobs.
Role = Literal["read", "use", "admin"]
_KEY: Final = "caller"


@dataclass(frozen=True)
class Caller:
    """`owner` is the name of the key that was brought, whose jobs are its own; empty where no keys are asked for.

    `overrides` are the limits that the key file states for it, by their names in `CONVSCOPE_LIMITS__OWNER_*`.
    """

    owner: str
    role: Role
    overrides: Mapping[str, int] = field(default_factory=dict)

    @property
    def sees(self) -> str | None:
        """Whose jobs it may look at: one owner's, or those of all (None)."""
        return None if self.role == "admin" else self.owner

    @property
    def sees_all(self) -> bool:
        return self.sees is None


# Without keys: whoever reaches the service may do everything.
ANYONE: Final = Caller("", "admin")
# With keys: who asks for what needs none.
NOBODY: Final = Caller("", "read")


def note_caller(scope: Scope, caller: Caller) -> None:
    """To be told by what has looked at the request's key."""
    scope.setdefault("state", {})[_KEY] = caller


def caller_of(scope: Scope) -> Caller:
    """Who asks; anyone, where nothing has looked at keys."""
    return cast("Caller", scope.get("state", {}).get(_KEY, ANYONE))
