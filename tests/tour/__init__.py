"""The golden tour: every method asked on every model, by HTTP and by terminal, and what came of it in a file.

It knows the service by its routes, its JSON and its commands alone, so that it is the same before and after the code
inside has moved.
"""
