"""`python -m tests.benchmark [result.json]`: figures and goals as a table, and as JSON with the machine's facts.

Every figure is a ratio of two things measured in turns in one run. Ends with 0 whatever the figures: they are read by
people, on a machine that does nothing else.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from service.keras.files.loading import configure_devices
from tests.benchmark import networks
from tests.benchmark.jobs.measure import Extent
from tests.benchmark.machine import describe_machine
from tests.benchmark.rows import Table
from tests.benchmark.sections import SECTIONS, Choice, tell

ROOT = Path(__file__).parent.parent.parent
QUICK_ROUNDS, QUICK_REQUESTS = 3, 200


def main() -> None:
    arguments = _arguments()
    configure_devices()
    choice = _choose(arguments)
    report: dict[str, Any] = {"machine": describe_machine(), "quick": choice.quick}
    table = Table(tell)
    for name, measure in SECTIONS.items():
        if name in (arguments.only or SECTIONS) and (found := measure(table, choice)) is not None:
            report[name] = found
    table.close()
    report["rows"] = [row.describe() for row in table.rows]
    arguments.result.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    tell(f"\nwritten: {arguments.result}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", nargs="?", type=Path, default=Path("benchmark.json"))
    parser.add_argument("--only", action="append", choices=tuple(SECTIONS), help="a section; may be given repeatedly")
    parser.add_argument("--network", action="append", help="of the sections engine and peers; may be given repeatedly")
    parser.add_argument("--quick", action="store_true", help="a smoke run, too short for figures to be believed")
    parser.add_argument("--job-seconds", type=float, default=Extent.job_seconds, help="of the job that is compared")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--requests", type=int, default=10_000, help="of the section endurance")
    return parser.parse_args()


def _choose(arguments: argparse.Namespace) -> Choice:
    test_data = ROOT / os.environ.get("CONVSCOPE_TEST_DATA", "../shared")
    return Choice(
        networks=arguments.network or networks.names(test_data),
        test_data=test_data,
        rounds=QUICK_ROUNDS if arguments.quick else arguments.rounds,
        requests=QUICK_REQUESTS if arguments.quick else arguments.requests,
        job_seconds=arguments.job_seconds,
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
