"""Many models under a bound of memory, and many roll-outs, on a real service: `make residency`. A script, no tests."""
