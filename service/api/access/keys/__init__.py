"""Keys: their file, what each may do, the page's sessions, and the guard that asks for one. No jobs, no models."""
