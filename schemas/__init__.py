"""Everything that crosses a process or a wire, as pydantic models. Knows nothing of the service."""
