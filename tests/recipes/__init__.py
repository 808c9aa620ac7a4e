"""A method of each kind, as a contributor would add it: one file, one test file, its line in METHODS. No tests here."""
