"""Who is asked for a key, by the settings; and that nobody is let in by an oversight."""

import logging
from functools import partial
from ipaddress import ip_address

from service.api.access.keys.authenticator import Authenticator
from service.api.access.keys.key_file import KeyFileError
from service.api.access.keys.sessions import Sessions
from service.api.access.keys.watched import WatchedKeys
from service.composition.session_secret import find_session_secret
from service.settings import Settings

logger = logging.getLogger(__name__)


class AccessError(Exception):
    """The service must not start with these settings; the sentence says what to do."""


def open_authenticator(settings: Settings) -> Authenticator | None:
    """What asks for keys; None where none are asked for. Raises AccessError."""
    if settings.api_keys is None:
        _require_loopback(settings)
        logger.info("no keys are asked for (CONVSCOPE_API_KEYS)")
        return None
    path = settings.api_keys
    try:
        keys = WatchedKeys(path)
    except KeyFileError as error:
        raise AccessError(
            f"CONVSCOPE_API_KEYS: {path}: {error}. 'convscope keys new NAME --role admin' makes a key and "
            "its file; 'convscope keys list' reads one"
        ) from error
    logger.info("%d keys in %s: nothing but probes and pages is answered without one", len(keys.current), path)
    return Authenticator(keys, Sessions(partial(find_session_secret, settings), settings.session_seconds))


def _require_loopback(settings: Settings) -> None:
    if _is_loopback(settings.host):
        return
    if not settings.open:
        raise AccessError(
            f"CONVSCOPE_HOST={settings.host} is where other machines reach the service, and it asks for no keys: let "
            "CONVSCOPE_API_KEYS name a key file ('convscope keys new NAME --role admin --file FILE' makes one), leave "
            "CONVSCOPE_HOST out, or set CONVSCOPE_OPEN=true where everybody who reaches it may use all of it"
        )
    logger.warning("open: whoever reaches %s may use all of the service (CONVSCOPE_OPEN)", settings.host)


def _is_loopback(host: str) -> bool:
    # Another name may lead anywhere, tomorrow if not today; and an empty one means all addresses.
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
