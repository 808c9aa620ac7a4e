"""`python -m tests.job_data`: what is kept and read of jobs over thousands of pictures, and held while drawing.

The chunks of `layer-health` over ten thousand pictures on ResNet50 are made up, with its layers and random numbers, and
put through the real store, the real artifacts and the real reducer.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from service.keras.files.loading import configure_devices
from tests.job_data.drawing import WAYS
from tests.job_data.records import measure_layer_health, measure_pictures
from tests.redis_server import RedisServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.job_data", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=10_000)
    pictures = parser.parse_args().pictures
    configure_devices()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with RedisServer(folder / "redis") as server:
            measure_layer_health(server, folder, pictures)
        with RedisServer(folder / "another") as server:
            measure_pictures(server, folder, pictures)
    for way in WAYS:
        subprocess.run([sys.executable, "-m", "tests.job_data.drawing", way], check=True)


if __name__ == "__main__":
    main()
