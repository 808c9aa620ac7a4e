"""The page's sessions: a cookie in place of a key, as long as its key and its time last."""

import hashlib
import stat
import time
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from starlette.testclient import TestClient

from service.api.access.keys.changing import add_key, revoke_keys
from service.api.access.keys.sessions import COOKIE, SessionsUnavailableError
from service.app import create_app
from service.composition.session_secret import find_session_secret
from service.settings import Settings
from tests.contract.conftest import assert_problem
from tests.contract.keyed import BASE, Keyed, make_keyed
from tests.redis_server import RedisServer

ROUTE = "/ui/session"
NOBODY = {"keys": True, "owner": None, "role": None}
SECRET = "s" * 32


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    return make_keyed(tmp_path_factory.mktemp("keyed"), session_secret=SECRET)


@pytest.fixture(autouse=True)
def _nobody_is_signed_in(keyed: Keyed) -> None:
    keyed.client.cookies.clear()


def sign_in(keyed: Keyed, kind: str = "use") -> str:
    response = keyed.client.post(ROUTE, json={"key": keyed.keys[kind]})
    assert response.status_code == 204, response.text
    return str(response.headers["set-cookie"])


def test_cookie_stands_in_for_the_key_until_it_is_given_up(keyed: Keyed) -> None:
    assert keyed.client.get(ROUTE).json() == NOBODY
    assert keyed.client.get("/v1/jobs").status_code == 401
    sign_in(keyed)
    answer = keyed.client.get(ROUTE)
    assert (answer.json(), answer.headers["cache-control"]) == (
        {"keys": True, "owner": "use-owner", "role": "use"},
        "no-store",
    )
    assert keyed.client.get("/v1/jobs").status_code == 200
    assert_problem(keyed.client.post("/v1/models/none/load"), 403, "role_insufficient")
    response = keyed.client.delete(ROUTE)
    assert (response.status_code, response.content) == (204, b"")
    assert not keyed.client.cookies
    assert keyed.client.get(ROUTE).json() == NOBODY
    assert keyed.client.get("/v1/jobs").status_code == 401


def test_cookie_is_out_of_reach_and_holds_no_key(keyed: Keyed) -> None:
    key = str(keyed.keys["use"])
    (morsel,) = SimpleCookie(sign_in(keyed)).values()
    assert (morsel["httponly"], morsel["samesite"].lower(), morsel["path"]) == (True, "strict", "/")
    assert int(morsel["max-age"]) == 43_200
    assert morsel["domain"] == ""
    assert key not in morsel.value
    assert key.removeprefix("convscope_")[:8] not in morsel.value


@pytest.mark.parametrize(
    ("base", "root_path", "secure", "path"),
    [("http://127.0.0.1", "", "", "/"), ("https://127.0.0.1", "", True, "/"),
     ("https://127.0.0.1", "/tools/convscope", True, "/tools/convscope")],
)  # fmt: skip
def test_cookie_is_for_the_scheme_and_path_of_the_page(
    keyed: Keyed, base: str, root_path: str, secure: object, path: str
) -> None:
    client = TestClient(keyed.client.app, base_url=base, root_path=root_path)
    for response in (client.post(root_path + ROUTE, json={"key": keyed.keys["use"]}), client.delete(root_path + ROUTE)):
        (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
        assert (morsel["secure"], morsel["path"], morsel["httponly"]) == (secure, path, True)


@pytest.mark.parametrize("kind", ["wrong", "expired", "revoked"])
def test_nobody_signs_in_when_the_key_is_not_good(keyed: Keyed, kind: str) -> None:
    response = keyed.client.post(ROUTE, json={"key": keyed.keys[kind]})
    assert_problem(response, 401, "key_invalid")
    assert response.headers["www-authenticate"].startswith("Bearer ")
    assert "set-cookie" not in response.headers
    assert str(keyed.keys[kind]) not in response.text


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [('{"key": "KEY"}', "text/plain", 415, "unsupported_media_type"),
     ("key=KEY", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
     ("KEY", "application/json", 422, "invalid_parameters"),
     ('{"key": ["KEY"]}', "application/json", 422, "invalid_parameters"),
     ('{"key": "KEY", "more": 1}', "application/json", 422, "invalid_parameters"),
     ('{"key": "KEY' + "x" * 5000 + '"}', "application/json", 413, "body_too_large")],
)  # fmt: skip
def test_body_is_refused_when_it_is_none_and_not_repeated(
    keyed: Keyed, content: str, media_type: str, status: int, code: str
) -> None:
    key = str(keyed.keys["use"])
    response = keyed.client.post(ROUTE, content=content.replace("KEY", key), headers={"Content-Type": media_type})
    assert_problem(response, status, code)
    assert key not in response.text


def test_foreign_page_signs_nobody_in(keyed: Keyed) -> None:
    response = keyed.client.post(ROUTE, json={"key": keyed.keys["use"]}, headers={"Origin": "https://evil.example"})
    assert_problem(response, 403, "cross_site_refused")


def test_session_ends_when_its_key_does(keyed: Keyed) -> None:
    secret, key = add_key(keyed.path, "short", "use")
    keyed.authenticator.keys.look()
    assert keyed.client.post(ROUTE, json={"key": secret}).status_code == 204
    assert keyed.client.get("/v1/jobs").status_code == 200
    revoke_keys(keyed.path, key.id)
    keyed.authenticator.keys.look()
    assert_problem(keyed.client.get("/v1/jobs"), 401, "key_invalid", "sign in again")
    assert keyed.client.get(ROUTE).json() == NOBODY
    assert keyed.client.get("/v1/jobs", headers=keyed.headers("use")).status_code == 200


def test_session_is_refused_when_it_was_forged_or_is_old(keyed: Keyed) -> None:
    good = SimpleCookie(sign_in(keyed))[COOKIE].value
    keyed.client.cookies.clear()
    key_id, stamp, signature = good.split(".")

    class Clock(TimestampSigner):
        offset = 0

        def get_timestamp(self) -> int:
            return int(time.time()) + self.offset

    def forge(secret: str, offset: int, salt: str = "convscope.session") -> str:
        signer = Clock(secret, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        signer.offset = offset
        return signer.sign(key_id).decode()

    admin = next(key.id for key in keyed.authenticator.keys.current if key.owner == "admin-owner")
    forged = [
        "", "x", key_id, f"{admin}.{stamp}.{signature}", f"{key_id}.AAAAAA.{signature}", good + "x", good.upper(),
        forge("t" * 32, 0), forge(SECRET, 0, salt="other"), forge(SECRET, -43_201), forge(SECRET, 3600),
    ]  # fmt: skip
    for value in forged:
        assert_problem(keyed.client.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={value}"}), 401, "key_invalid")
    # Clocks of two machines, and the cookie of another service on the same host.
    for value in (good, forge(SECRET, 20), forge(SECRET, -43_000), f"x; {COOKIE}={good}", f"{good}; {COOKIE}=x"):
        assert keyed.client.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={value}"}).status_code == 200
    # Who sends a wrong key means that one.
    headers = keyed.headers("wrong") | {"Cookie": f"{COOKIE}={good}"}
    assert keyed.client.get("/v1/jobs", headers=headers).status_code == 401


def test_right_key_is_let_in_while_others_try(keyed: Keyed) -> None:
    # Twenty in a second, on a machine of any speed.
    for _ in range(1000):
        response = keyed.client.post(ROUTE, json={"key": keyed.keys["wrong"]})
        if response.status_code != 401:
            break
    assert_problem(response, 429, "rate_limited")
    assert response.headers["retry-after"] == "1"
    sign_in(keyed)


def test_session_says_so_when_no_keys_are_asked_for(tmp_path: Path) -> None:
    client = TestClient(create_app(Settings(_env_file=None, data=tmp_path)), base_url=BASE)
    assert client.get(ROUTE).json() == {"keys": False, "owner": None, "role": "admin"}
    for response in (client.post(ROUTE, json={"key": "x"}), client.delete(ROUTE)):
        assert response.status_code == 204
        assert "set-cookie" not in response.headers


def test_secret_is_one_for_all_services_that_share_a_place(tmp_path: Path, redis_server: RedisServer) -> None:
    def find(**given: Any) -> bytes:
        return find_session_secret(Settings(_env_file=None, **given))

    first, second = find(data=tmp_path / "a"), find(data=tmp_path / "a")
    assert first == second
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / "a" / "session-secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["session-secret"]
    assert find(data=tmp_path / "b") != first
    shared = find(data=tmp_path / "a", redis_url=redis_server.url)
    assert shared == find(data=tmp_path / "b", redis_url=redis_server.url) != first
    assert find(data=tmp_path / "a", redis_url=redis_server.url, session_secret="t" * 40) == b"t" * 40
    (tmp_path / "a" / "session-secret").write_text("short")
    for given in ({"data": tmp_path / "a"}, {"redis_url": "redis://127.0.0.1:1/0"}):
        with pytest.raises(SessionsUnavailableError):
            find(**given)


def test_only_sessions_are_refused_when_their_secret_cannot_be_had(tmp_path: Path) -> None:
    keyed = make_keyed(tmp_path, redis_url="redis://127.0.0.1:1/0")
    assert keyed.client.get("/v1/models", headers=keyed.headers("use")).status_code == 200
    assert_problem(keyed.client.post(ROUTE, json={"key": keyed.keys["use"]}), 503, "sessions_unavailable")
    assert_problem(keyed.client.get("/v1/models", headers={"Cookie": f"{COOKIE}=x"}), 503, "sessions_unavailable")
    assert_problem(keyed.client.get(ROUTE, headers={"Cookie": f"{COOKIE}=x"}), 503, "sessions_unavailable")
    assert keyed.client.get(ROUTE).json() == NOBODY


def test_secret_stays_in_its_settings() -> None:
    settings = Settings(_env_file=None, session_secret=SECRET)
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()
    with pytest.raises(ValueError, match="at least 32"):
        Settings(_env_file=None, session_secret="short")
