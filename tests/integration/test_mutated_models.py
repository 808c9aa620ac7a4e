"""Some spoiled model files, in a process of their own. `python -m tests.mutations.models` takes 500, of all kinds."""

from pathlib import Path

from tests.mutations.models import run


def test_file_loads_or_is_refused_when_it_is_spoiled(tmp_path: Path):
    # Not faults of HDF5's own structure: some send its library into an endless loop.
    tally = run(64, seed=1, folder=tmp_path, faults=("configuration", "cut"))
    assert tally.wrong == tally.hung == []
    assert tally.outcomes["loaded"] > 0
    assert tally.outcomes["refused"] > 20
    assert tally.growth_bytes < 500 * 2**20
