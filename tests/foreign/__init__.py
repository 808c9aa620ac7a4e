"""A client that a foreign generator writes of the running service's OpenAPI: `make foreign`, apart from the suite."""
