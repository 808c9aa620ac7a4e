"""`python -m tests.benchmark [result.json]`: a table on the terminal, and JSON with the machine's facts."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from service.engine.keras.loading import configure_devices
from service.engine.model import Model
from tests.benchmark.endurance import measure_endurance
from tests.benchmark.jobs.measure import QUICK, Extent, measure_jobs
from tests.benchmark.machine import describe_machine
from tests.benchmark.speed import measure_ratio, random_vgg16
from tests.oracle import NETWORKS, load_model

ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    arguments = _arguments()
    configure_devices()
    report: dict[str, Any] = {"machine": describe_machine()}
    if arguments.only != "jobs":
        report |= _measure_engine(arguments)
    if arguments.only != "engine":
        report["jobs"] = measure_jobs(_extent(arguments), _print)
    arguments.result.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(f"\nwritten: {arguments.result}")


def _measure_engine(arguments: argparse.Namespace) -> dict[str, Any]:
    models = _models(arguments.test_data)
    report = {}
    if models:
        # First, as VGG16's gigabyte would hide a leak in the ratio.
        photos = sorted((arguments.test_data / "images" / "photos").iterdir())
        report["endurance"] = _endurance(models, photos, arguments.requests)
    report["speed"] = _speed(models, arguments.rounds)
    _print("")
    return report


def _speed(models: list[Model], rounds: int) -> dict[str, Any]:
    probes: dict[str, Any] = {f"{model.name} (file)": model.probe for model in models}
    probes["VGG16 (random weights)"] = random_vgg16()
    _print("| network | forward, ms | scores, ms | Grad-CAM, ms | scores / forward | Grad-CAM / forward |")
    _print("| --- | --- | --- | --- | --- | --- |")
    measured = {}
    for name, probe in probes.items():
        numbers = measured[name] = measure_ratio(probe, rounds)
        _print(
            f"| {name} | {numbers['forward_ms']:.1f} | {numbers['scores_ms']:.1f} | {numbers['grad_cam_ms']:.1f}"
            f" | {numbers['scores_over_forward']:.2f} | {numbers['grad_cam_over_forward']:.2f} |"
        )
    return measured


def _endurance(models: list[Model], photos: list[Path], requests: int) -> dict[str, Any]:
    numbers = measure_endurance(models, photos, requests)
    _print(
        f"{numbers['requests']} requests ({numbers['distinct']} distinct): traces {numbers['traces_after_warm_up']}"
        f" -> {numbers['traces_at_the_end']}, memory {numbers['rss_after_warm_up_bytes'] / 2**20:.0f}"
        f" -> {numbers['rss_at_the_end_bytes'] / 2**20:.0f} MiB (x {numbers['rss_growth']:.3f})\n"
    )
    return numbers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("result", nargs="?", type=Path, default=Path("benchmark.json"))
    parser.add_argument("--only", choices=("engine", "jobs"))
    parser.add_argument("--quick", action="store_true", help="shorter jobs, too short for figures to be believed")
    parser.add_argument("--job-seconds", type=float, default=Extent.job_seconds, help="of the job that is compared")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--requests", type=int, default=1000)
    parser.set_defaults(test_data=ROOT / os.environ.get("CONVSCOPE_TEST_DATA", "../shared"))
    return parser.parse_args()


def _extent(arguments: argparse.Namespace) -> Extent:
    return QUICK if arguments.quick else Extent(job_seconds=arguments.job_seconds)


def _models(test_data: Path) -> list[Model]:
    if not (test_data / "models").is_dir():
        _print(f"no test data at '{test_data}' (CONVSCOPE_TEST_DATA): VGG16 alone is measured")
        return []
    return [load_model(NETWORKS[name], test_data) for name in ("mobilenet", "squeezenet")]


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
