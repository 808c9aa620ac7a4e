"""What comes in with a request: bodies, uploads, preferences, threads that answer. No routes, no answers' form."""
