"""Sentences that hold foreign words (names from files, what libraries say), made fit for logs, terminals and JSON.

Whoever sends a file chooses the names of its layers: line feeds would forge lines of a log, escapes command a terminal,
marks of direction turn words around, and five megabytes stand in every listing.
"""

import json
import re
import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator

MAX_SENTENCE: Final = 500
_CUT: Final = " … "
# Absolute folders, up to the last name; not the middle of a path, a URL or a layer's path.
_FOLDERS: Final = re.compile(r"(?<![\w.:/$~*)\]}-])/(?:[^/\s'\"`,;()<>\[\]{}]+/)+")


def plain(text: str, limit: int = MAX_SENTENCE) -> str:
    """The text in one line of at most `limit` visible characters; of a longer one the beginning and the end."""
    # First of all: to look at every character of megabytes takes long.
    return _clip(visible(_clip(text, limit)), limit)


def visible(text: str) -> str:
    """The text with an escape, as in Python, for each character that is none to be seen."""
    if text.isprintable():
        return text
    return "".join(character if _is_visible(character) else _escape(character) for character in text)


def visible_json(text: str) -> str:
    """The same JSON, of one line, where `visible` would make another of it."""
    if text.isprintable():
        return text
    return "".join(character if _is_visible(character) else json.dumps(character)[1:-1] for character in text)


def without_folders(text: str) -> str:
    """The text with the last name alone of every absolute path: where a server keeps its files is nobody's business."""
    return _FOLDERS.sub("", text)


# A field of a schema that is written for people.
Sentence = Annotated[str, AfterValidator(plain)]


def _is_visible(character: str) -> bool:
    # Spaces of other scripts are.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _clip(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    # What to do stands at the end.
    tail = limit // 4
    return text[: limit - tail - len(_CUT)] + _CUT + text[-tail:]
