"""Where jobs are kept: the port, and its two ways, SQLite in a file and Redis. Nothing is computed here."""
