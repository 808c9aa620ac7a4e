"""How the code is built, in numbers: `make shape`. Reads the source alone; nothing of it runs."""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Final

from docs.imports import PACKAGES, between_children, find_cycles, find_rooms, read_imports

# Of lines that are the same but for spaces: fewer are found everywhere by chance.
_TWIN_LINES: Final = 6
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Print the table of docs/ARCHITECTURE.md."""
    rows = list(measure())
    width = max(len(name) for name, _ in rows)
    sys.stdout.writelines(f"| {name:{width}} | {value} |\n" for name, value in rows)


def measure() -> Iterator[tuple[str, str]]:
    """What is measured, and the figure."""
    files = [file for package in PACKAGES for file in sorted(Path(package).rglob("*.py"))]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    for describe in (_describe_files, _describe_functions, _describe_types):
        yield from describe(texts)
    yield from _describe_cycles()


def _describe_files(texts: dict[Path, str]) -> Iterator[tuple[str, str]]:
    lines = {file: text.count("\n") for file, text in texts.items()}
    longest = max(lines, key=lambda file: lines[file])
    yield "files: number, lines in all", f"{len(lines)}, {sum(lines.values())}"
    sizes = [count for count in lines.values() if count > 1]
    yield "lines of a file: mean, median, most", f"{mean(sizes):.0f}, {median(sizes):.0f}, {lines[longest]} ({longest})"
    rooms = Counter(file.parent for file in texts if file.name != "__init__.py")
    fullest, most = rooms.most_common(1)[0]
    yield "files of a room: median, most", f"{median(rooms.values()):.0f}, {most} ({fullest})"
    yield f"lines in runs of {_TWIN_LINES} that stand in two places", f"{_share_of_twins(texts):.1%}"


def _describe_functions(texts: dict[Path, str]) -> Iterator[tuple[str, str]]:
    sizes = [(node.end_lineno or 0) - node.lineno + 1 for _, node in _functions(texts)]
    yield (
        "lines of a function: median, 95 of 100, most",
        (f"{median(sizes):.0f}, {quantiles(sizes, n=20)[-1]:.0f}, {max(sizes)}"),
    )


def _describe_types(texts: dict[Path, str]) -> Iterator[tuple[str, str]]:
    typed = [_is_typed(node) for _, node in _functions(texts)]
    yield "functions whose parameters and answer have types", f"{mean(typed):.1%}"
    nodes = [node for text in texts.values() for node in ast.walk(ast.parse(text))]
    loose = sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)
    lines = sum(text.count("\n") for text in texts.values())
    yield "`Any` per 1,000 lines", f"{1000 * loose / lines:.1f}"
    yield "`dict[str, Any]`", str(sum(text.count("dict[str, Any]") for text in texts.values()))


def _describe_cycles() -> Iterator[tuple[str, str]]:
    imports = read_imports()
    yield "cycles of modules", str(len(find_cycles(imports)))
    cycles = sum(len(find_cycles(between_children(imports, room))) for room in find_rooms(imports))
    yield "cycles of rooms and files beside each other", str(cycles)


def _functions(texts: dict[Path, str]) -> Iterator[tuple[Path, _Function]]:
    for file, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, _Function):
                yield file, node


def _is_typed(node: _Function) -> bool:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    given += [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
    return node.returns is not None and all(
        argument.annotation is not None or argument.arg in ("self", "cls") for argument in given
    )


def _share_of_twins(texts: dict[Path, str]) -> float:
    """Of the lines that say something, imports left out."""
    places: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    lines = {file: list(_telling(text)) for file, text in texts.items()}
    for file, telling in lines.items():
        for start in range(len(telling) - _TWIN_LINES + 1):
            places[tuple(telling[start : start + _TWIN_LINES])].append((file, start))
    twins = {(file, start + at) for found in places.values() if len(found) > 1 for file, start in found
             for at in range(_TWIN_LINES)}  # fmt: skip
    return len(twins) / sum(map(len, lines.values()))


def _telling(text: str) -> Iterator[str]:
    for line in text.splitlines():
        bare = line.strip()
        if len(bare) > 3 and not bare.startswith(("import ", "from ", "#")):
            yield bare


if __name__ == "__main__":
    main()
