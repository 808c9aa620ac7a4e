"""What comes in with a request: who is let in, bodies, preferences, threads to answer. No routes, no answers' form."""
