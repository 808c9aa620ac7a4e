"""Which tests go together where several processes share the suite (`pytest -n`). Does not know what they test."""

from xdist.scheduler import LoadScopeScheduling

# They wait more than they compute: in one process from the beginning, while what computes runs beside them. Two of them
# at once would be too much for what they wait for.
FIRST = "tests/integration/faults/"
# What these tests share is started once: a group runs in one process.
TOGETHER = {
    FIRST: "faults",
    "tests/browser/": "service",
    "tests/integration/test_readme.py": "service",
    "tests/integration/test_terminal.py": "service",
}


class Scheduling(LoadScopeScheduling):
    """The tests of a group of TOGETHER, and of a file elsewhere, run in one process, as what they share does."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group for start, group in TOGETHER.items() if file.startswith(start)), file)
