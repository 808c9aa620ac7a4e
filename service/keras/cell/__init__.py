"""One process for each model file that nobody trusts, and what comes out of it. What is refused stands in `files`."""
