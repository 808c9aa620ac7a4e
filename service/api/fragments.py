"""What an OpenAPI document is put together from."""

from typing import Any

# FastAPI's own type for any piece of a document: nested as OpenAPI has it, and read at any depth. Only the files that
# describe routes use it; what comes with requests has types of its own.
Fragment = dict[str, Any]
# By status.
Responses = dict[int | str, Fragment]
