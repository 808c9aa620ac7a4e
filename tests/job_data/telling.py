"""Figures, a line of JSON each."""

import json
import sys


def tell(**figures: int | str) -> dict[str, int | str]:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
    return figures
