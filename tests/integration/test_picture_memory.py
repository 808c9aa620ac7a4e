"""What pictures of every kind take, measured in a child: never more than is reserved for them by their headers."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.picture_memory import HEIGHT, WIDTH

ROOT = Path(__file__).parents[2]
PIXELS = WIDTH * HEIGHT
MEGABYTE = 2**20


def test_memory_is_what_was_reserved_when_pictures_are_decoded_and_drawn() -> None:
    # Or what was freed for one picture would be used again for the next, and not be seen.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", "tests.picture_memory"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(measured) > 20
    for line in measured:
        assert line["grown"] < line["reserved"] + 4 * MEGABYTE, line
        assert line["reserved"] < 26 * PIXELS, line
        if not line["draw"] and not line["picture"].startswith(("webp", "avif", "tiff", "jpeg")):
            # Pillow's picture, ours, and a strip; of 16 bits it was 26 a pixel, of transparency 20.
            assert line["grown"] < 7 * PIXELS + 36 * MEGABYTE, line
