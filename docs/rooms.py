"""The rooms of the source and the arrows between them, as docs/ARCHITECTURE.md shows them."""

import ast
from pathlib import Path
from typing import Final

from docs.imports import Graph, between_children, read_imports, reduce

# In the order in which one reads them.
_ROOTS: Final = ("schemas", "workers", "service")


def rooms_table() -> str:
    """Every package with what belongs there, as its `__init__` says, and how many files it has."""
    markers = [marker for root in _ROOTS for marker in sorted(Path(root).rglob("__init__.py"))]
    rows = "\n".join(f"| `{marker.parent}/` | {_docstring(marker)} | {_count(marker.parent)} |" for marker in markers)
    return f"| room | what belongs there | files |\n| --- | --- | --- |\n{rows}"


def arrows(room: str) -> str:
    """Who knows whom in a room, as a Mermaid drawing; what follows from other arrows is left out."""
    graph = reduce(_all(between_children(read_imports(), room)))
    lines = [f"    {_name(one)} --> {_name(other)}" for one in sorted(graph) for other in sorted(graph[one])]
    return "```mermaid\nflowchart TD\n" + "\n".join(lines) + "\n```"


def _all(graph: Graph) -> Graph:
    return {node: graph.get(node, set()) for node in {*graph, *(end for ends in graph.values() for end in ends)}}


def _name(module: str) -> str:
    return module.rpartition(".")[2]


def _count(folder: Path) -> int:
    return sum(file.name != "__init__.py" for file in folder.glob("*.py"))


def _docstring(file: Path) -> str:
    """Its first paragraph."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
