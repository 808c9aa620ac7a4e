"""Record the golden tour in a file, or compare two records. `make tour` records every model, where the test data is."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.tour.comparing import Comparison
from tests.tour.files import read, write
from tests.tour.places import start
from tests.tour.reading import portable
from tests.tour.walking import take, take_brief


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tour", description=__doc__)
    commands = parser.add_subparsers(required=True)
    recording = commands.add_parser("record", help="ask everything, and write what came of it")
    recording.add_argument("file", type=Path)
    recording.add_argument("--models", choices=("built-in", "all"), default="all")
    recording.add_argument("--brief", action="store_true", help="what the suite compares on any machine")
    recording.set_defaults(run=_record)
    comparing = commands.add_parser("compare", help="print what differs; ends with 1 where anything does")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW", help="words, or ends of paths")
    comparing.add_argument("--tolerance", type=float, help="relative, in place of hashes: for two machines")
    comparing.set_defaults(run=_compare)
    options = parser.parse_args()
    code: int = options.run(options)
    return code


def _record(options: argparse.Namespace) -> int:
    test_data = None if options.brief or options.models == "built-in" else _find_test_data()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, start(Path(folder), test_data) as tour:
        records = dict(take_brief(tour) if options.brief else take(tour))
    if options.brief:
        records = {name: portable(answer) for name, answer in records.items()}
    write(options.file, records)
    pictures = sum(len(answer["pictures"]) for answer in records.values())
    print(f"{len(records)} questions, {pictures} pictures, {time.monotonic() - began:.0f} s: {options.file}")
    return 0


def _find_test_data() -> Path | None:
    folder = Path(os.environ.get("CONVSCOPE_TEST_DATA", "../shared"))
    if (folder / "models").is_dir():
        return folder
    print(f"no test data at '{folder}' (CONVSCOPE_TEST_DATA): the built-in models alone")
    return None


def _compare(options: argparse.Namespace) -> int:
    renamed = dict(pair.split("=", 1) for pair in options.renamed)
    differences = list(Comparison(options.tolerance, renamed).differences(read(options.old), read(options.new)))
    for line in differences:
        print(line)
    print(f"{len(differences)} differences" if differences else "the same")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
