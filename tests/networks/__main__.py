"""`python -m tests.networks [COUNT] [FIRST]`: random networks against eager Keras; ends with 1 where any differs."""

import sys
from collections import Counter

import keras
import tensorflow as tf

from tests.networks.examination import Findings, examine
from tests.networks.heads import build


def main(count: int = 300, first: int = 0) -> int:
    """Examine the networks of as many seeds, and say what differed."""
    kinds: Counter[str] = Counter()
    found: list[Findings] = []
    unable: list[int] = []
    for seed in range(first, first + count):
        keras.utils.clear_session()
        grown = build(seed)
        kinds.update(set(grown.growth.kinds))
        try:
            findings = examine(grown)
        except tf.errors.UnimplementedError:
            # Double precision with channels first: nothing to hold anything against on this machine.
            unable.append(seed)
            continue
        found.append(findings)
        for fault in findings.faults or []:
            sys.stdout.write(f"seed {seed}: {fault}\n    {', '.join(findings.kinds)}\n")
        if (seed + 1 - first) % 25 == 0:
            sys.stdout.write(f"{seed + 1 - first} of {count}\n")
        sys.stdout.flush()
    total = {name: sum(getattr(each, name) for each in found) for name in _NUMBERS}
    faulty = [each.seed for each in found if each.faults]
    sys.stdout.write(f"{len(found)} networks, {len(faulty)} with faults: {faulty}; Keras cannot compute {unable}\n")
    sys.stdout.write(f"{total}\n{dict(kinds)}\n")
    return 1 if faulty else 0


_NUMBERS = ("activations", "heat_maps", "fields", "unknown_fields", "refused")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
