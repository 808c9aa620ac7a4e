"""How log lines are written: one line per event, whatever is in it. Knows no events."""

import logging
from types import TracebackType
from typing import Final

from schemas.sentences import plain

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
# An event's line, and a line of a traceback, in characters; of a traceback that is longer, the end says what happened.
_MAX_LINE: Final = 2000
_MAX_LINES: Final = 200
_INDENT: Final = "    "

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    """Escapes what would forge a line or command a terminal; the lines of a traceback are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return plain(super().formatMessage(record), _MAX_LINE)

    def formatException(self, ei: _Raised) -> str:  # noqa: N802 - logging's name
        return _indent(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        return _indent(super().formatStack(stack_info))


def configure_logging(level: int = logging.INFO, *, form: str = FORMAT, force: bool = False) -> None:
    """Write the process's log to standard error, Python's warnings included; `force` in place of another way."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter(form))
    logging.basicConfig(level=level, handlers=[handler], force=force)  # noqa: TID251 - here it is
    if handler in logging.getLogger().handlers:
        logging.captureWarnings(capture=True)


def _indent(text: str) -> str:
    # Split at line feeds alone: other line ends are foreign, and escaped.
    lines = text.split("\n")
    if len(lines) > _MAX_LINES:
        lines = [lines[0], f"… {len(lines) - _MAX_LINES} lines …", *lines[1 - _MAX_LINES :]]
    return "\n".join(_INDENT + plain(line, _MAX_LINE) for line in lines)
