"""Files that lie elsewhere: listed and watched in the background, fetched into a folder here. Knows no networks."""
