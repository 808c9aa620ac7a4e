"""What TensorFlow says at import stays off standard error; what anybody else says does not."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from service.keras.log_filter import filtered_log
with filtered_log():
    print("hello", file=sys.stderr)
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\\n")
    os.write(2, b"I0000 00:00:17 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"E0000 00:00:17 the sky falls\\n")
os.write(2, b"I0000 after\\n")
raise SystemExit("tensorflow" in sys.modules)
"""


def test_only_information_is_held_back_when_something_is_imported():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=True)
    assert done.stderr == "hello\nE0000 00:00:17 the sky falls\nI0000 after\n"
