"""Which of our media types a client wants, from its Accept header (RFC 9110, section 12.5.1)."""

from service.engine.nearest import shorten
from service.errors import ConvscopeError

JSON = "application/json"
PNG = "image/png"


class NotAcceptableError(ConvscopeError):
    code = "not_acceptable"


def choose(accept: str, media_types: tuple[str, ...]) -> str:
    """The media type of the highest quality, earlier ones first among equals. Raises NotAcceptableError."""
    ranges = [_parse(item) for item in (accept or "*/*").split(",") if item.strip()]
    best = max(media_types, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(
            f"'{shorten(accept)}' cannot be had here: this route answers {' or '.join(media_types)}"
        )
    return best


def names(accept: str, media_type: str) -> bool:
    """Whether a media type is asked for by its own name, as browsers do with HTML, and no less wanted than JSON."""
    ranges = [_parse(item) for item in accept.split(",") if item.strip()]
    quality = max((quality for name, quality in ranges if name == media_type), default=0.0)
    return quality > 0 and quality >= _quality(JSON, ranges)


def _parse(item: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip() for part in item.lower().split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        given = float(quality)
    except ValueError:
        given = 0.0
    return media_range, given if 0 <= given <= 1 else 0.0


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The quality that the most specific matching range gives; 0 where none matches."""
    specificity = {media_type: 3, f"{media_type.partition('/')[0]}/*": 2, "*/*": 1}
    matching = [(specificity[name], quality) for name, quality in ranges if name in specificity]
    return max(matching)[1] if matching else 0.0
