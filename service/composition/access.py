"""Who is asked for a key, by the settings."""

from functools import partial

from service.api.access.keys.authenticator import Authenticator
from service.api.access.keys.key_file import KeyFileError
from service.api.access.keys.sessions import Sessions
from service.api.access.keys.watched import WatchedKeys
from service.composition.session_secret import find_session_secret
from service.settings import Settings


class AccessError(Exception):
    """The service must not start with these settings; the sentence says what to do."""


def open_authenticator(settings: Settings) -> Authenticator | None:
    """What asks for keys; None where none are asked for. Raises AccessError."""
    if settings.api_keys is None:
        return None
    try:
        keys = WatchedKeys(settings.api_keys)
    except KeyFileError as error:
        raise AccessError(
            f"CONVSCOPE_API_KEYS: {settings.api_keys}: {error}. 'convscope keys new NAME --role admin' makes a key and "
            "its file; 'convscope keys list' reads one"
        ) from error
    return Authenticator(keys, Sessions(partial(find_session_secret, settings), settings.session_seconds))
