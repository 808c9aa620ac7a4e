"""Which versions of a model are meant by `versions=`: text or a list from outside. Loads nothing."""

from collections.abc import Sequence
from typing import Final

from schemas.jobs import MAX_VERSIONS
from service.engine.nearest import shorten
from service.errors import TooFewVersionsError, VersionNotFoundError

# Of a list of versions, which may name some of them twice.
_MAX_NAMED: Final = 1000
_MAX_NAMED_TEXT: Final = 20_000


def choose_versions(name: str, known: Sequence[str], asked: object) -> tuple[str, ...]:
    """`all`, oldest first, or some in the order given; `known` are newest first.

    Raises TooFewVersionsError or VersionNotFoundError.
    """
    items = asked if isinstance(asked, list) else [asked]
    # A field of a form may come several times, each with several.
    text = ",".join(map(str, items[:_MAX_NAMED]))
    named = [part.strip() for part in text[:_MAX_NAMED_TEXT].split(",", _MAX_NAMED)]
    if len(items) > _MAX_NAMED or len(text) > _MAX_NAMED_TEXT or len(named) > _MAX_NAMED:
        raise TooFewVersionsError(f"at most {_MAX_NAMED} versions are named; 'all' stands for every one")
    chosen = tuple(dict.fromkeys(known[::-1] if named == ["all"] else filter(None, named)))
    if len(chosen) < 2:
        raise TooFewVersionsError(f"two versions of '{name}' or more are compared, such as 1,2,5, or all")
    for version in chosen:
        if version not in known:
            raise unknown_version(name, version, known)
    if len(chosen) > MAX_VERSIONS:
        raise TooFewVersionsError(f"{len(chosen)} versions were named: 2 to {MAX_VERSIONS} are compared")
    return chosen


def unknown_version(name: str, version: str, known: Sequence[str]) -> VersionNotFoundError:
    """Which there are instead."""
    return VersionNotFoundError(f"'{name}' has no version '{shorten(version)}'; versions: {', '.join(known)}")
