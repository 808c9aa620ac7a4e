"""The page in a real Chromium, on a real service with its built-in model and its worker for jobs."""
