"""Webhooks: what a client may ask for, what is sent and how it is signed, when it is tried again. Keeps no records."""
