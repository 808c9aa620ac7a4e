"""Requests to addresses that clients name: which may be asked, and how. Knows neither webhooks nor pictures."""
