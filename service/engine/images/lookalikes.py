"""Files that are taken for pictures and not read, told by their names: whoever packed them will miss them."""

from pathlib import PurePath, PurePosixPath
from typing import Final

# Telephones and cameras, other programs' own, and names of JPEG and PNG files that are read under another name.
_CAMERAS: Final = ".3fr .arw .cr2 .cr3 .crw .dng .heic .heif .hif .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srf .srw"
_OTHERS: Final = ".dcm .dds .exr .hdr .icns .ico .j2k .jp2 .jpx .jxl .pcx .psb .psd .qoi .svg .svgz .tga .xcf"
_RENAMED: Final = ".apng .dib .jfif .jif .jpe .pbm .pgm .pnm .ppm"

LOOKALIKES: Final = frozenset(f"{_CAMERAS} {_OTHERS} {_RENAMED}".split())


def is_lookalike(path: PurePath) -> bool:
    """True for a picture that is not read, by its name."""
    return path.suffix.lower() in LOOKALIKES


def explain_lookalike(name: str) -> str:
    """Why it is passed over, and what to do."""
    return (
        f"files that end in {PurePosixPath(name).suffix.lower()} are not read in a dataset: save them as .png or .jpg"
    )
