"""Files of Keras 2 in this service, as a table in docs/legacy.md: `make legacy`.

`python -m tests.legacy [--folder FOLDER] [NAME…]` writes the files with each Keras 2 of `install` first, unless they
are there, and without names the page.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from tests.legacy.compare import Finding, compare

VERSIONS = ("2.12", "2.15")
PAGE = Path("docs/legacy.md")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="where the files lie, or are to lie")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        findings = [finding for version in VERSIONS for finding in examine(folder / version, version, arguments.names)]
    print(summarise(findings))
    if not arguments.names:
        PAGE.write_text(page(findings), encoding="utf-8")
        print(f"wrote {PAGE}")
    return int(any(finding.verdict == "wrong" for finding in findings))


def examine(folder: Path, version: str, names: list[str]) -> list[Finding]:
    """Write the files of one version where there are none, and compare them."""
    if not folder.is_dir():
        python = f".venv-legacy-{version}/bin/python"
        subprocess.run([python, "-W", "ignore", "-m", "tests.legacy.write", folder, *names], check=True)
    files = sorted(file for file in folder.iterdir() if file.suffix in (".h5", ".keras"))
    findings = []
    for file in files:
        if names and file.stem not in names:
            continue
        findings.append(found := compare(file, thorough=version == VERSIONS[-1] and file.suffix == ".keras"))
        print(f"{version} {file.name:45} {found.verdict:8} {found.error:.1e} {found.detail}", flush=True)
    return findings


def summarise(findings: Iterable[Finding]) -> str:
    """Figures by version and format."""
    rows = ["| files | all | exact | refused, with advice | wrong |", "| --- | --- | --- | --- | --- |"]
    key = lambda finding: (finding.file.parent.name, finding.file.suffix)  # noqa: E731
    groups = [(" ".join(place), list(group)) for place, group in groupby(sorted(findings, key=key), key)]
    for name, group in [*groups, ("together", [*findings])]:
        counts = [sum(finding.verdict == verdict for finding in group) for verdict in ("exact", "refused", "wrong")]
        rows.append(f"| {name} | {len(group)} | {' | '.join(map(str, counts))} |")
    return "\n".join(rows)


def page(findings: list[Finding]) -> str:
    return summarise(findings) + "\n"


if __name__ == "__main__":
    sys.exit(main())
