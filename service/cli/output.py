"""The output folder of a command: pictures as they come, `results.jsonl`, and the contact sheet at the end."""

from pathlib import Path

from pydantic_core import to_json

from schemas.results import Result
from service.cli.contact_sheet import Entry, Skipped, render_sheet

_MAX_NAME = 100


def to_line(source: Path | None, result: Result, files: tuple[str, ...] = ()) -> str:
    """A result in one line of JSON: the API's own, without picture data, with `source` and each image's `file`."""
    content = result.model_dump(mode="json", exclude={"images": {"__all__": {"data"}}})
    for image, file in zip(content["images"], files, strict=False):
        image["file"] = file
    return to_json({"source": None if source is None else readable(source)} | content).decode()


def readable(path: Path) -> str:
    """A path as text, whatever bytes it has."""
    return str(path).encode("utf-8", "replace").decode()


class OutputFolder:
    """Made when the first result is written. What an earlier command left in it stays, but for files of the same name.

    Raises OSError.
    """

    def __init__(self, folder: Path, method: str, title: str) -> None:
        self.folder = folder
        self._method = method
        self._title = title
        self._entries: list[Entry] = []

    def add(self, source: Path | None, stem: str, result: Result) -> tuple[str, ...]:
        """Write the pictures of a result; returns their files' names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # The method's name is ours: a service may answer with any.
        names = [_shorten(image.name, index) for index, image in enumerate(result.images)]
        files = tuple(f"{stem}-{self._method}-{name}.png" for name in names)
        for file, image in zip(files, result.images, strict=True):
            (self.folder / file).write_bytes(image.data)
        with (self.folder / "results.jsonl").open("a" if self._entries else "w", encoding="utf-8") as stream:
            stream.write(to_line(source, result, files) + "\n")
        # The sheet needs sizes and names, and memory is not for the pictures of a whole folder.
        emptied = [image.model_copy(update={"data": b""}) for image in result.images]
        light = result.model_copy(update={"images": emptied})
        self._entries.append(Entry(None if source is None else readable(source), light, files))
        return files

    def finish(self, skipped: list[Skipped]) -> Path | None:
        """Write the contact sheet; None where there was no result to show."""
        if not self._entries:
            return None
        sheet = self.folder / "index.html"
        sheet.write_text(render_sheet(self._title, self._entries, skipped), encoding="utf-8")
        return sheet


def _shorten(name: str, index: int) -> str:
    # Layers deep in nested models have paths longer than a file's name may be.
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}-{index}"
