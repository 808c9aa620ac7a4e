"""What Keras says of a fault, in one line."""

from typing import Final

# After it come the arguments, and what happened in the end.
_IN_A_CALL: Final = "Exception encountered when calling"


def first_line(error: BaseException, text: str | None = None, length: int = 300) -> str:
    """What Keras says, or `text` of it, without the pages that follow; it may hold names out of a file."""
    said = str(error) if text is None else text
    line = (said.strip() or type(error).__name__).splitlines()[0]
    if line.startswith(_IN_A_CALL):
        root = _root(error)
        line = f"{line.rstrip('.')}: {root}" if str(root) and root is not error else line
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in line.splitlines()[0][:length])


def _root(error: BaseException) -> BaseException:
    """Where it began."""
    seen = set[int]()
    while id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__ or error
    return error
