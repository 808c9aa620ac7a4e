"""What greets contributors, hosts and tools is what the repository has."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FORMS = sorted(file for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_workflow_tests_every_python_that_the_project_takes():
    job = read_yaml(".github/workflows/test.yml")["jobs"]["test"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest, beyond = map(int, re.findall(r"3\.(\d+)", project["requires-python"]))
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(lowest, beyond)]
    assert "${{ matrix.python }}" in job["container"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test", "make foreign"]
    # The same on a machine of one's own.
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-2:]
    assert commands == ["make test", "exec make foreign"]


def test_actions_of_the_workflow_have_versions():
    steps = read_yaml(".github/workflows/test.yml")["jobs"]["test"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name) for name in used)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_ask_each_question_once(form: Path):
    page = read_yaml(str(form.relative_to(ROOT)))
    assert {"name", "description", "body"} <= set(page)
    asked = [part for part in page["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked) >= 1
    assert all(part["type"] in {"input", "textarea"} and part["attributes"]["label"] for part in asked)


def test_there_are_forms_for_faults_and_wishes():
    assert [form.stem for form in FORMS] == ["fault", "wish"]
    assert isinstance(read_yaml(".github/ISSUE_TEMPLATE/config.yml"), dict)


def test_commits_are_checked_by_what_make_check_runs():
    (repo,) = read_yaml(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    (hook,) = repo["hooks"]
    assert hook["entry"] == "make check"
    assert hook["language"] == "system"
    assert hook["pass_filenames"] is False


def test_container_for_development_has_the_programs_of_the_suite():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    file = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text(encoding="utf-8")
    programs = re.search(r"for program in (.+); do", (ROOT / "tests" / "install-parts").read_text(encoding="utf-8"))
    assert programs
    installed = file.partition("apt-get install")[2].split()
    assert {*programs[1].split(), "chromium", "make"} <= set(installed)


def test_every_page_is_on_the_site():
    """Sphinx says it too, but nobody builds the site in every test."""
    index = (ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8")
    listed = {
        (ROOT / "docs" / "site" / f"{line}.md").resolve() for line in index.splitlines() if line.startswith("../")
    }
    pages = {*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")}
    assert pages <= listed
    assert "../decisions/*" in index


def test_site_is_strict():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--fail-on-warning" in makefile.partition("\nsite:")[2].partition("\n\n")[0]


@pytest.mark.parametrize("folder", ["docs/site", "tests/foreign"])
def test_environments_of_their_own_are_locked(folder: str):
    assert "--require-hashes" in (ROOT / folder / "install").read_text(encoding="utf-8")
    lock = (ROOT / folder / "requirements.lock").read_text(encoding="utf-8")
    wanted = (ROOT / folder / "requirements.in").read_text(encoding="utf-8").splitlines()[1:]
    assert wanted
    assert "://" not in lock
    assert all(re.search(rf"^{name.partition('[')[0]}==", lock, re.MULTILINE) for name in wanted)
