"""Who may do what: every operation of OpenAPI by every kind of key, as the table of docs/keys.md says."""

import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.routing import iter_route_contexts
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from service.api.access.keys.key_file import ROLES
from service.api.access.keys.roles import is_free, roles_of, suffices
from service.api.headers import SECURITY
from service.engine.methods import METHODS
from tests.contract.conftest import assert_problem
from tests.contract.keyed import Keyed, make_keyed

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
REFUSED = {"none": "key_missing", "wrong": "key_invalid", "expired": "key_invalid", "revoked": "key_invalid"}
VALUES = {"model": "none", "version": "1", "job": "0" * 32, "name": "grid"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    return make_keyed(tmp_path_factory.mktemp("keyed"))


def documented() -> tuple[dict[str, str], list[str]]:
    """The table: from an operation to a role, every method's among them; and what is free, as beginnings of paths."""
    free: list[str] = []
    roles: dict[str, str] = {}
    table = PAGE.partition("<!-- roles -->")[2].partition("<!-- /roles -->")[0]
    for operations, needed in re.findall(r"^\| (`.+`) \| (.+) \|$", table, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", operations)
        if needed == "no key":
            free += names
        else:
            roles |= {name: needed.strip("`") for name in names}
    every = {name: role for name, role in roles.items() if "METHOD" not in name}
    every |= {
        name.replace("METHOD", method): role for name, role in roles.items() if "METHOD" in name for method in METHODS
    }
    return every, free


def operations(keyed: Keyed) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = keyed.client.get("/openapi.json").json()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(found) > 2 * len(METHODS)
    return found


def test_every_operation_answers_as_the_table_says(keyed: Keyed) -> None:
    roles, free = documented()
    for method, template in operations(keyed):
        path = template.format(**VALUES)
        for kind in keyed.keys:
            response = keyed.client.request(method, path, headers=keyed.headers(kind))
            place = (method, template, kind)
            if path in free:
                assert response.status_code not in (401, 403), place
            elif kind in REFUSED:
                assert_problem(response, 401, REFUSED[kind])
                error = ', error="invalid_token"' if kind != "none" else ""
                assert response.headers["www-authenticate"] == f'Bearer realm="convscope"{error}'
            elif suffices(kind, roles[f"{method} {template}"]):  # type: ignore[arg-type]
                assert response.status_code not in (401, 403), place
            else:
                needed = roles[f"{method} {template}"]
                assert_problem(
                    response, 403, "role_insufficient", f"the role '{needed}'", f"'{kind}-owner' has '{kind}'"
                )
                assert f'error="insufficient_scope", scope="{needed}"' in response.headers["www-authenticate"]
            assert set(SECURITY) <= {name for name in SECURITY if name in response.headers}
            if not is_free(method, path):
                assert response.headers.get("cache-control") or kind in REFUSED or response.status_code == 403


def test_every_route_is_in_the_table_when_one_is_added(keyed: Keyed) -> None:
    roles = roles_of(METHODS)
    found = {
        f"{'GET' if method == 'HEAD' else method} {route.path}"
        for route in iter_route_contexts(keyed.client.app.routes)  # type: ignore[attr-defined]
        for method in route.methods or {"GET"}
        if not is_free(method, (route.path or "").removesuffix("{path}"))
    }
    assert found == set(roles), "an operation without a line in service/api/access/keys/roles.py, or a line without one"


async def _answer() -> str:
    return "new"


def test_route_without_a_line_is_for_admins_alone(tmp_path: Path) -> None:
    keyed = make_keyed(tmp_path)
    keyed.client.app.add_api_route("/v1/new/{name}", _answer)  # type: ignore[attr-defined]
    statuses = {kind: keyed.client.get("/v1/new/x", headers=keyed.headers(kind)).status_code for kind in keyed.keys}
    assert statuses == dict.fromkeys(REFUSED, 401) | {"read": 403, "use": 403, "admin": 200}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/uix", 404), ("GET", "/docsx", 404),
     ("POST", "/", 405), ("GET", "/livez/", 307), ("GET", "/LIVEZ", 404),
     ("PATCH", "/v1/models", 405), ("OPTIONS", "/v1/models", 405), ("HEAD", "/v1/jobs", 405),
     ("QUERY", "/nowhere", 404), ("HEAD", f"/v1/jobs/{'0' * 32}/images/grid", 404), ("GET", "/v1/models/", 307)],
)  # fmt: skip
def test_what_is_no_operation_needs_a_key_too(keyed: Keyed, method: str, path: str, status: int) -> None:
    for kind, code in REFUSED.items():
        response = keyed.client.request(method, path, headers=keyed.headers(kind), follow_redirects=False)
        if method == "HEAD":
            assert (response.status_code, response.content) == (401, b"")
        else:
            assert_problem(response, 401, code)
    response = keyed.client.request(method, path, headers=keyed.headers("admin"), follow_redirects=False)
    assert response.status_code == status


def test_picture_is_refused_to_readers_when_only_its_head_is_asked_for(keyed: Keyed) -> None:
    path = f"/v1/jobs/{'0' * 32}/images/grid"
    assert keyed.client.head(path, headers=keyed.headers("read")).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/livez", 200), ("/readyz", 503), ("/docs", 200), ("/docs/assets/swagger-ui.css", 200),
     ("/openapi.json", 200), ("/problems/key_missing", 200), ("/ui/app.js", 200), ("/ui/facts.json", 200),
     ("/v2/health/live", 404)],
)  # fmt: skip
def test_what_is_free_is_answered_when_no_key_comes(keyed: Keyed, path: str, status: int) -> None:
    assert keyed.client.get(path, headers={"Accept": "text/html"}).status_code in (
        status,
        404 if path == "/ui" else status,
    )


def test_metrics_are_free_when_the_setting_says_so(keyed: Keyed, tmp_path: Path) -> None:
    assert keyed.client.get("/metrics").status_code == 401
    free = make_keyed(tmp_path, metrics_without_key=True)
    for path, kind in (("/v1/jobs", "none"), ("/v1/jobs", "wrong"), ("/v1/jobs", "read"), ("/nowhere", "none")):
        free.client.get(path, headers=free.headers(kind))
    response = free.client.get("/metrics")
    assert response.status_code == 200
    for code, number in {"key_missing": 2, "key_invalid": 1, "role_insufficient": 1}.items():
        assert f'convscope_requests_refused_total{{reason="{code}"}} {number}.0' in response.text
    assert re.search(r"^convscope_keys_age_seconds \d", response.text, re.MULTILINE)


def test_bearer_counts_before_other_ways_when_several_keys_come(keyed: Keyed) -> None:
    def ask(*headers: tuple[str, str]) -> int:
        return keyed.client.get("/v1/jobs", headers=list(headers)).status_code

    use, wrong = str(keyed.keys["use"]), str(keyed.keys["wrong"])
    assert ask(("X-API-Key", use)) == 200
    assert ask(("authorization", f"bearer  {use} ")) == 200
    assert ask(("Authorization", f"Bearer {use}"), ("X-API-Key", wrong)) == 200
    assert ask(("Authorization", f"Bearer {wrong}"), ("X-API-Key", use)) == 401
    # Of a proxy before the service.
    assert ask(("Authorization", "Basic dTpw"), ("X-API-Key", use)) == 200
    assert ask(("Authorization", "Basic dTpw")) == 401
    assert ask(("Authorization", f"Bearer {use}"), ("Authorization", f"Bearer {use}")) == 401
    for nonsense in ("Bearer", "Bearer ", use, f"Bearer {use},{use}", "Bearer " + "x" * 9000):
        assert ask(("Authorization", nonsense)) == 401
    assert keyed.client.get(f"/v1/jobs?key={use}&api_key={use}&access_token={use}").status_code == 401


def test_problem_tells_an_expired_key_from_a_wrong_one(keyed: Keyed) -> None:
    details = {kind: keyed.client.get("/v1/models", headers=keyed.headers(kind)).json()["detail"] for kind in REFUSED}
    assert "over on 2020-01-01" in details["expired"]
    assert details["wrong"] == details["revoked"]
    assert len(set(details.values())) == 3
    assert not any(str(key) in str(details) for key in keyed.keys.values())


def test_roles_are_of_three_and_ordered() -> None:
    assert [[suffices(role, needed) for needed in ROLES] for role in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_host_and_origin_are_asked_for_before_the_key(keyed: Keyed, tmp_path: Path) -> None:
    headers = keyed.headers("admin")
    # Foreign pages have neither key nor cookie: any name does.
    assert keyed.client.get("/v1/models", headers=headers | {"Host": "gpu.example"}).status_code == 200
    assert_problem(
        keyed.client.get("/v1/models", headers=headers | {"Sec-Fetch-Site": "cross-site"}), 403, "cross_site_refused"
    )
    named = make_keyed(tmp_path, hosts=("gpu.example",))
    headers = named.headers("admin")
    assert named.client.get("/v1/models", headers=headers | {"Host": "gpu.example"}).status_code == 200
    assert_problem(named.client.get("/v1/models", headers=headers | {"Host": "evil.example"}), 421, "host_not_allowed")
    assert named.client.get("/livez", headers={"Host": "evil.example"}).status_code == 200


def test_connection_is_closed_when_it_asks_for_a_websocket(keyed: Keyed) -> None:
    with pytest.raises(WebSocketDisconnect) as raised, keyed.client.websocket_connect("/v1/jobs"):
        pass
    assert raised.value.code == 1008


@pytest.mark.parametrize(
    ("path", "statuses"),
    [("/ui/../v1/models", (404, 404)), ("/docs/../v1/models", (404, 404)), ("/problems/../v1/models", (404, 404)),
     ("/v1/../ui/app.js", (401, 404)), ("//livez", (401, 404)), ("//v1/models", (401, 404)), ("v1/models", (401, 404)),
     ("/livez/../v1/models", (401, 404)), ("/v1/models;/livez", (401, 404)), ("/v1/models?/livez", (401, 404))],
)  # fmt: skip
def test_no_other_spelling_of_a_path_gets_by(keyed: Keyed, path: str, statuses: tuple[int, int]) -> None:
    # As clients send it that do not tidy paths up.
    def ask(kind: str) -> int:
        headers = [(name.lower().encode(), value.encode()) for name, value in keyed.headers(kind).items()]
        scope: dict[str, object] = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
        }
        scope |= {
            "scheme": "http",
            "headers": headers,
            "root_path": "",
            "http_version": "1.1",
            "asgi": {"version": "3"},
        }
        found: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                found.append(message["status"])

        anyio.run(keyed.client.app, scope, receive, send)
        return found[0]

    assert (ask("none"), ask("admin")) == statuses
