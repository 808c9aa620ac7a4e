"""The routes, one file for each thing they are about. What every route needs of a request stands in `requests`."""
