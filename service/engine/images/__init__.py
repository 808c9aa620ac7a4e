"""Untrusted bytes to pixels, and pixels to what a network takes. Nothing is drawn here."""
