"""Pages of other origins: none without CONVSCOPE_CORS_ORIGINS, and those alone with it, never by the page's cookie."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from service.api.headers import SECURITY
from service.app import create_app
from service.settings import Settings
from tests.contract.conftest import assert_problem
from tests.contract.keyed import BASE, Keyed, make_keyed

LAB = "https://lab.example"
OTHERS = ("https://evil.example", "http://lab.example", "https://lab.example:8443", "https://x.lab.example", "null",
          "https://lab.example.evil.example", "https://LAB.example", "")  # fmt: skip
GRAD_CAM = "/v1/models/none/grad-cam"
JOBS = "/v1/jobs"
CROSS = {"Origin": LAB, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    return make_keyed(tmp_path_factory.mktemp("keyed"), cors_origins=(LAB, "http://localhost:3000"))


def preflight(keyed: Keyed, origin: str, method: str = "POST", headers: str = "authorization, content-type"):
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return keyed.client.options(GRAD_CAM, headers=asked | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})


def test_preflight_needs_no_key_when_the_origin_is_listed(keyed: Keyed):
    response = preflight(keyed, LAB)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == LAB
    assert "DELETE" in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    assert "Origin" in response.headers["vary"]
    assert "access-control-allow-credentials" not in response.headers
    assert set(SECURITY) <= {name for name in SECURITY if name in response.headers}
    assert preflight(keyed, LAB, "PATCH").status_code == 400
    assert preflight(keyed, LAB, headers="x-other").status_code == 400


@pytest.mark.parametrize("origin", OTHERS)
def test_nothing_is_allowed_when_the_origin_is_another(keyed: Keyed, origin: str):
    answers = [preflight(keyed, origin), keyed.client.get(JOBS, headers=keyed.headers("use") | {"Origin": origin})]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert_problem(answers[0], 401, "key_missing")
    headers = keyed.headers("use") | CROSS | {"Origin": origin}
    assert_problem(keyed.client.post(GRAD_CAM, headers=headers), 403, "cross_site_refused")


def test_page_reads_answers_and_problems_when_its_origin_is_listed(keyed: Keyed):
    answers = {
        200: keyed.client.get(JOBS, headers=keyed.headers("use") | CROSS),
        401: keyed.client.get(JOBS, headers=CROSS),
        403: keyed.client.get(JOBS, headers=keyed.headers("read") | CROSS),
        404: keyed.client.post(f"/v1/jobs/{'0' * 32}/cancel", headers=keyed.headers("use") | CROSS),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == LAB
        assert "access-control-allow-credentials" not in answer.headers
        assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
        assert set(SECURITY) <= {name for name in SECURITY if name in answer.headers}
    # What carries no Origin is no CORS: pictures and scripts in a foreign page.
    headers = keyed.headers("use") | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert_problem(keyed.client.get(JOBS, headers=headers), 403, "cross_site_refused")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_cookie_does_not_count_when_a_page_of_another_origin_asks(keyed: Keyed, site: str):
    # The browser sends it to all ports of a host, and for all hosts of a site.
    assert keyed.client.post("/ui/session", json={"key": keyed.keys["use"]}).status_code == 204
    job = f"/v1/jobs/{'0' * 32}/cancel"
    assert keyed.client.post(job).status_code == 404
    foreign = CROSS | {"Sec-Fetch-Site": site}
    assert_problem(keyed.client.post(job, headers=foreign), 401, "key_missing")
    assert_problem(keyed.client.post(job, headers={"Origin": LAB}), 401, "key_missing")
    assert_problem(keyed.client.post(job, headers=foreign | keyed.headers("use")), 404, "job_not_found")
    keyed.client.cookies.clear()


def test_listed_page_may_ask_without_keys_too(tmp_path: Path):
    client = TestClient(create_app(Settings(_env_file=None, data=tmp_path, cors_origins=(LAB,))), base_url=BASE)
    answer = client.get("/v1/models", headers=CROSS)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, LAB)
    assert "access-control-allow-origin" not in client.get("/v1/models", headers={"Origin": OTHERS[0]}).headers
    assert_problem(client.get("/v1/models", headers=CROSS | {"Host": "evil.example"}), 421, "host_not_allowed")


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "lab.example", "https://lab.example/", "https://Lab.example", "https://*.lab.example",
     "https://user@lab.example", "https://lab.example:443", "http://lab.example:80", "ftp://lab.example",
     "https://lab.example/path", "https://lab.example?x", "https://", "https://lab.example:port"],
)  # fmt: skip
def test_setting_is_refused_when_it_is_no_origin(origin: str):
    with pytest.raises(ValidationError, match="an origin is"):
        Settings(_env_file=None, cors_origins=(LAB, origin))


def test_setting_takes_several_origins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_CORS_ORIGINS", f"{LAB}, http://localhost:3000,https://[::1]:8443")
    assert Settings(_env_file=None).cors_origins == (LAB, "http://localhost:3000", "https://[::1]:8443")
