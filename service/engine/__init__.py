"""From untrusted bytes to pictures of what a network sees. Knows no web framework, queue or settings."""
