"""The service beside real programs of others, in an environment of theirs: `make foreign`, apart from the suite."""
