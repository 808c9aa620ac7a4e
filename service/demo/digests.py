"""The SHA-256 of each file of the built-in models, which are read without a process of their own: `SHA256SUMS`.

`python -m service.demo.digests` writes it anew, `sha256sum --check` compares it.
"""

import hashlib
from pathlib import Path
from typing import Final

from service.errors import ModelFailedError

MODELS: Final = Path(__file__).parent / "models"
SUMS: Final = MODELS / "SHA256SUMS"


def require_built_in(file: Path) -> None:
    """Raise ModelFailedError unless the file is one that this version came with."""
    known = {line.split()[0] for line in SUMS.read_text(encoding="ascii").splitlines()}
    if _digest(file) not in known:
        raise ModelFailedError(
            f"'{file.name}' of a built-in model is not the one that this version came with: install convscope again, "
            "or put the model into a folder of models of your own (CONVSCOPE_MODELS)"
        )


def write_sums() -> str:
    """A line for each file, as `sha256sum` writes it."""
    files = sorted(MODELS.rglob("*.keras"))
    return "".join(f"{_digest(file)}  {file.relative_to(MODELS)}\n" for file in files)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    SUMS.write_text(write_sums(), encoding="ascii")
