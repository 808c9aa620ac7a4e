"""Who imports whom in the source, by modules and by rooms. Reads the source alone; nothing of it runs."""

from collections import defaultdict
from functools import cache
from typing import Final

import grimp

PACKAGES: Final = ("service", "schemas", "workers")
Graph = dict[str, set[str]]


@cache
def read_imports() -> Graph:
    """What each module of the project imports of the project."""
    graph = grimp.build_graph(*PACKAGES)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def find_rooms(imports: Graph) -> list[str]:
    """The packages."""
    return sorted({module.rpartition(".")[0] for module in imports} - {""})


def between_children(imports: Graph, room: str) -> Graph:
    """Who knows whom among what lies directly in a room, each room in it as one. "" is all there is."""
    inside = f"{room}." if room else ""

    def child(module: str) -> str:
        return inside + module.removeprefix(inside).split(".")[0]

    found: Graph = defaultdict(set)
    for module, known in imports.items():
        if module.startswith(inside) and module != room:
            found[child(module)] |= {child(other) for other in known if other.startswith(inside)} - {child(module)}
    return dict(found)


def find_cycles(graph: Graph) -> list[set[str]]:
    """Groups of nodes each of which leads to all others."""
    reached = {node: reach(graph, node) for node in graph}
    groups = {frozenset(other for other in found if node in reached.get(other, ())) for node, found in reached.items()}
    return [set(group) for group in groups if len(group) > 1]


def reduce(graph: Graph) -> Graph:
    """Without the arrows that others make superfluous. The graph has no cycles."""
    return {
        node: {end for end in ends if not any(end in reach(graph, other) for other in ends - {end})}
        for node, ends in graph.items()
    }


def reach(graph: Graph, start: str) -> set[str]:
    """Everything that a node leads to."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph.get(waiting.pop(), ()):
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found
