"""HTTP: the one room that knows status codes, media types and headers."""
