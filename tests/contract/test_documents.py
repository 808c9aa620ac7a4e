"""What stands in documents must be what the code does."""

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from docs import shape
from docs.generate import PAGES
from service.api.problem_types import PROBLEMS
from service.cli.commands.serve import DRAIN_SECONDS
from service.engine.methods import METHODS
from service.errors import ConvscopeError
from service.settings import WorkerLife

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_generated_pages_are_current_when_the_code_changed():
    stale = [path.name for path, write in PAGES.items() if path.read_text(encoding="utf-8") != write()]
    assert stale == [], "run `make docs` and look at the difference"


def test_rooms_are_small_and_know_each_other_in_one_direction():
    rows = dict(shape.measure())
    assert rows["cycles of modules"] == rows["cycles of rooms and files beside each other"] == "0"
    fullest = int(rows["files of a room: median, most"].split(", ")[1].split()[0])
    assert fullest <= 16, rows["files of a room: median, most"]


def test_every_error_has_its_problem_when_it_has_a_code():
    import service.api.requests.bodies
    import service.api.requests.negotiation  # noqa: F401 - defines further errors

    def codes(kind: type[ConvscopeError]) -> set[str]:
        own = {kind.code} if "code" in vars(kind) else set()
        return own.union(*(codes(child) for child in kind.__subclasses__()))

    assert codes(ConvscopeError) <= set(PROBLEMS)


def test_tensorflow_is_not_imported_when_the_api_is():
    program = "import sys, service.cli, service.app; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_documents_exist_when_they_call_make(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert called_targets(page) <= targets


def test_readme_and_ci_call_the_two_commands():
    assert {"serve", "test"} <= called_targets(ROOT / "README.md")
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


def called_targets(page: Path) -> set[str]:
    found = re.findall(r"`make ([a-z-]+)[^`]*`|^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {first or second for first, second in found}


def test_links_lead_somewhere_when_they_are_relative():
    broken = []
    for page in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_code_is_closed_when_a_page_is_read(page: Path):
    """What follows an open one is shown as code, and code as text."""
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            assert not (inside and line.strip() != "```"), f"{page.name}:{number}: a block begins in another"
            inside = not inside
        assert not (inside and line.startswith("## ")), f"{page.name}:{number}: a heading in a block of code"
    assert not inside


def test_every_decision_says_when_it_was_made_and_whether_it_holds():
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, record in enumerate(records, 1):
        title, empty, status = record.read_text(encoding="utf-8").splitlines()[:3]
        assert title.startswith(f"# {number}. "), record.name
        assert empty == "", record.name
        said = re.fullmatch(r"Status: (accepted|superseded by \[\d+\]\(\d{4}-[a-z0-9-]+\.md\)) · (\S+)", status)
        assert said, f"{record.name}: {status}"
        date.fromisoformat(said[2])


def test_every_method_states_what_versions_are_compared_by():
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    for name, method in METHODS.items():
        assert f"| `{name}` | {method.compared} |" in page


def test_gallery_shows_every_method_when_one_is_added():
    gallery = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", gallery, re.MULTILINE | re.DOTALL))
    for method in METHODS.values():
        assert re.search(rf"/v1/models/\w+/{method.name}\b", sections[method.title]), "run `make gallery`"


def test_locks_hold_no_host_when_they_are_resolved():
    for lock in ROOT.glob("*.lock"):
        text = lock.read_text()
        assert "://" not in text
        pins = re.findall(r"^[a-z0-9_.\[\]-]+==[^ ]+", text, re.MULTILINE)
        assert len(pins) > 30
        assert text.count("--hash=sha256:") >= len(pins)


def test_compose_file_starts_the_image_that_deploy_builds():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    api = compose["services"]["api"]
    assert (ROOT / api["build"]["context"] / api["build"]["dockerfile"]).is_file()
    known = set(re.findall(r"`(CONVSCOPE_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    assert set(api["environment"]) <= known


def test_compose_file_asks_for_keys_that_its_own_command_makes():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    api, keys = services["api"], services["keys"]
    place = Path(api["environment"]["CONVSCOPE_API_KEYS"])
    assert keys["environment"]["CONVSCOPE_API_KEYS"] == str(place)
    assert f"keys:{place.parent}:ro" in api["volumes"]
    assert keys["volumes"] == [f"keys:{place.parent}"]
    # Owned by who runs in the container: a new volume is as the image has the folder.
    assert f"install -d -o convscope -m 0700 {place.parent}" in (ROOT / "deploy" / "Dockerfile").read_text()
    assert all("CONVSCOPE_OPEN" not in str(service) for service in services.values())
    assert all(str(port).startswith("127.0.0.1:") for port in api["ports"])


def test_containers_are_given_longer_to_end_than_the_service_takes():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    given = {name: float(services[name]["stop_grace_period"].removesuffix("s")) for name in ("api", "worker")}
    grace = WorkerLife().grace_seconds
    # What else there is to do, and a machine that is busy.
    slack = 10
    assert given["api"] >= DRAIN_SECONDS + grace + slack
    assert given["worker"] >= grace + slack


def test_version_is_one_when_it_stands_in_several_places():
    openapi = json.loads((ROOT / "docs" / "openapi.json").read_text())
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert openapi["info"]["version"] == project[1]
    assert f"## {project[1]}" in (ROOT / "CHANGELOG.md").read_text()
