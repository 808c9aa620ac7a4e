"""Datasets of pictures in ZIPs: what is taken for a picture, and which archives are refused before anything is read."""

import io
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset, reopen_dataset
from service.errors import (
    AnnotationInvalidError,
    ConvscopeError,
    DatasetEmptyError,
    DatasetInvalidError,
    DatasetTooLargeError,
    ImageInvalidError,
    ImageTooLargeError,
)
from tests.unit.test_run import a_photo

REFUSALS = ("dataset_invalid", "dataset_empty", "dataset_too_large", "image_invalid", "image_too_large")
LIMITS = DatasetLimits(max_images=4, max_bytes=10**6, max_unpacked_bytes=10**6)
MOST = 10**6


def zipped(*names: str, data: bytes = b"picture", packed: int = zipfile.ZIP_STORED) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer


def _names(images: Dataset) -> list[str]:
    return [member.name for member in images.members]


def test_pictures_are_found_in_order_when_other_files_are_beside_them():
    found = open_dataset(
        zipped("b.PNG", "cat/a.jpg", "notes.txt", "cat/", ".hidden.png", "__MACOSX/._b.png", "x/.y/z.png"), LIMITS
    )
    assert _names(found) == ["b.PNG", "cat/a.jpg"]
    assert [member.label for member in found.members] == [None, "cat"]
    assert [member.index for member in found.members] == [0, 1]
    assert found.read(1, MOST) == b"picture"


def test_files_beside_pictures_are_notes_when_they_may_tell_of_objects():
    found = open_dataset(
        zipped("cat/a.jpg", "masks/cat/a.png", "cat/Masks/b.png", "cat/a.xml", "i.JSON", "c.txt"), LIMITS
    )
    assert _names(found) == ["cat/a.jpg"]
    assert found.notes == ("cat/Masks/b.png", "cat/a.xml", "i.JSON", "masks/cat/a.png")
    assert found.read_note("cat/a.xml", 7) == b"picture"
    with pytest.raises(AnnotationInvalidError, match="too large"):
        found.read_note("cat/a.xml", 6)


def test_notes_count_when_the_dataset_is_measured():
    with pytest.raises(DatasetTooLargeError):
        open_dataset(zipped("a.png", "masks/a.png", "a.xml", data=bytes(400_000)), LIMITS)
    with pytest.raises(DatasetInvalidError, match="leads out"):
        open_dataset(zipped("a.png", "../a.xml"), LIMITS)
    with pytest.raises(DatasetEmptyError):
        open_dataset(zipped("masks/a.png"), LIMITS)


def test_folders_are_labels_when_the_zip_has_backslashes():
    found = open_dataset(zipped("cat\\a.jpg", "masks\\cat\\a.png", "dog\\", "dog/b.jpg"), LIMITS)
    assert [(member.name, member.label) for member in found.members] == [("cat/a.jpg", "cat"), ("dog/b.jpg", "dog")]
    assert found.notes == ("masks/cat/a.png",)
    assert found.read(0, max_bytes=2**20) == found.read_note("masks/cat/a.png", 7) == b"picture"
    with pytest.raises(DatasetInvalidError, match="twice"):
        open_dataset(zipped("cat\\a.jpg", "cat/a.jpg"), LIMITS)


def test_pictures_that_are_not_read_are_named_when_they_are_passed_over():
    found = open_dataset(
        zipped("a.png", "cat/b.HEIC", "c.jfif", "d.txt", "e.pdf", ".f.heic", "__MACOSX/g.heic"), LIMITS
    )
    assert (_names(found), found.lookalikes) == (["a.png"], ("c.jfif", "cat/b.HEIC"))
    with pytest.raises(DatasetEmptyError, match=r"files that end in \.heic are not read in a dataset: save them as"):
        open_dataset(zipped("cat/b.HEIC", "d.txt"), LIMITS)


def test_stems_are_fit_for_names_and_unique_when_files_differ_in_suffix_or_case_alone():
    found = open_dataset(zipped("ä b/c.png", "cat/a.jpg", "cat/a.png", "CAT/A.webp"), LIMITS)
    assert [member.stem for member in found.members] == ["CAT--A", "cat--a-2", "cat--a-3", "--b--c"]


def test_dataset_is_the_same_when_it_is_packed_again():
    files = [("a/1.png", b"1"), ("2.png", b"2")]
    first, second = io.BytesIO(), io.BytesIO()
    pack_dataset(files, first)
    pack_dataset(iter(files), second)
    assert first.getvalue() == second.getvalue()
    found = open_dataset(first, LIMITS)
    assert found.sha256 == open_dataset(second, LIMITS).sha256
    again = reopen_dataset(io.BytesIO(first.getvalue()), found.sha256)
    assert (again.members, again.read(0, MOST), again.read(1, MOST)) == (found.members, b"2", b"1")


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/etc/a.png", "C:/a.png", "..\\a.png", "\\a.png"])
def test_dataset_is_refused_when_a_name_leads_out_of_it(name: str):
    with pytest.raises(DatasetInvalidError, match="leads out"):
        open_dataset(zipped("good.png", name), LIMITS)


def test_dataset_is_refused_when_a_picture_is_in_it_twice():
    buffer = zipped("a.png", "b.png")
    buffer = io.BytesIO(buffer.getvalue().replace(b"b.png", b"a.png"))
    with pytest.raises(DatasetInvalidError, match="twice"):
        open_dataset(buffer, LIMITS)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: io.BytesIO(b""), DatasetInvalidError),
        (lambda: io.BytesIO(b"PK\x03\x04 nothing"), DatasetInvalidError),
        (lambda: io.BytesIO(zipped("a.png").getvalue()[:-30]), DatasetInvalidError),
        (lambda: io.BytesIO(zipped("a.png").getvalue().replace(b"PK\x01\x02", b"PK\x09\x09")), DatasetInvalidError),
        (zipped, DatasetEmptyError),
        (lambda: zipped("readme.txt"), DatasetEmptyError),
        (lambda: zipped("inner.zip"), DatasetEmptyError),
        (lambda: zipped("a.png", packed=zipfile.ZIP_LZMA), DatasetInvalidError),
        (lambda: zipped(*(f"{number}.png" for number in range(5))), DatasetTooLargeError),
        (lambda: zipped("a.png", data=bytes(10**6 + 1)), DatasetTooLargeError),
        # A bomb: a thousandth on the wire of what it says it holds.
        (lambda: zipped("a.png", "b.png", data=bytes(600_000), packed=zipfile.ZIP_DEFLATED), DatasetTooLargeError),
        (lambda: zipped(*(f"{number}.txt" for number in range(500))), DatasetTooLargeError),
    ],
)
def test_dataset_is_refused_when_it_is_none(make: Callable[[], io.BytesIO], error: type[ConvscopeError]):
    with pytest.raises(error):
        open_dataset(make(), LIMITS)


def _lengthen(data: bytes, *, plain: int | None = None, longer: int | None = None) -> io.BytesIO:
    """The same ZIP with both records of its listing's size, one of which may lie."""
    end = data.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", data, end + 10)
    short = data[end : end + 12] + struct.pack("<LL", size if plain is None else plain, offset) + data[end + 20 :]
    sizes = (count, count, size if longer is None else longer, offset)
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, *sizes)
    return io.BytesIO(data[:end] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + short)


def test_listing_is_read_when_its_size_stands_in_the_longer_record():
    data = zipped("a.png").getvalue()
    assert _names(open_dataset(_lengthen(data, plain=0xFFFFFFFF), LIMITS)) == ["a.png"]
    with pytest.raises(DatasetInvalidError):
        open_dataset(_lengthen(data, plain=0xFFFFFFFF, longer=10**12), LIMITS)


@pytest.mark.parametrize("lie", [{"plain": 60}, {"plain": 0xFFFFFFFF}, {}])
def test_listing_is_bounded_by_what_is_read_when_the_plain_record_lies(lie: dict[str, int]):
    data = zipped("a.png", *(f"{number}.txt" for number in range(500))).getvalue()
    with pytest.raises(DatasetTooLargeError, match="lists too many"):
        open_dataset(_lengthen(data, **lie), LIMITS)


def test_entry_is_passed_over_when_it_has_no_name():
    # A name ends where a zero is.
    data = zipped("b.txt", "a.png").getvalue().replace(b"b.txt", b"\0.txt")
    assert _names(open_dataset(io.BytesIO(data), LIMITS)) == ["a.png"]


def test_entries_are_bounded_when_they_are_no_pictures():
    # Short names: 33 of them are well within the bytes of the listing.
    folders = [f"{number}/" for number in range(33)]
    with pytest.raises(DatasetTooLargeError, match="lists too many"):
        open_dataset(zipped("a.png", *folders), LIMITS)
    assert len(open_dataset(zipped("a.png", *folders[:31]), LIMITS)) == 1


def test_dataset_is_refused_when_it_is_encrypted():
    data = bytearray(zipped("a.png").getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DatasetInvalidError, match="encrypted"):
        open_dataset(io.BytesIO(data), LIMITS)


def test_picture_is_no_more_than_it_says_when_its_size_is_a_lie():
    data = zipped("a.png", data=bytes(500_000), packed=zipfile.ZIP_DEFLATED).getvalue()
    listing = data.index(b"PK\x01\x02")
    lied = bytearray(data)
    lied[listing + 24 : listing + 28] = (10).to_bytes(4, "little")
    with pytest.raises(ImageInvalidError, match="damaged"):
        open_dataset(io.BytesIO(lied), LIMITS).read(0, MOST)


def _grown_by(function: Callable[[], object]) -> int:
    tracemalloc.start()
    function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_no_more_is_inflated_than_may_be_when_a_picture_is_large():
    data = zipped("a.png", data=bytes(10**8), packed=zipfile.ZIP_DEFLATED).getvalue()
    found = open_dataset(io.BytesIO(data), DatasetLimits())

    def read() -> None:
        with pytest.raises(ImageTooLargeError, match="100000000 bytes"):
            found.read(0, MOST)

    assert _grown_by(read) < 10**6


def test_no_more_is_inflated_than_it_says_when_its_size_is_a_lie():
    data = bytearray(zipped("a.png", data=bytes(10**8), packed=zipfile.ZIP_DEFLATED).getvalue())
    listing = data.index(b"PK\x01\x02")
    data[listing + 24 : listing + 28] = (10).to_bytes(4, "little")
    found = open_dataset(io.BytesIO(data), LIMITS)

    def read() -> None:
        with pytest.raises(ImageInvalidError, match="damaged"):
            found.read(0, MOST)

    assert _grown_by(read) < 10**6


@pytest.mark.parametrize("place", range(0, 30, 2))
def test_dataset_is_refused_and_nothing_else_when_its_listing_is_damaged(place: int, tmp_path: Path):
    data = bytearray(zipped("a.png").getvalue())
    listing = data.index(b"PK\x01\x02") if place % 4 else data.index(b"PK\x05\x06")
    data[listing + 4 + place : listing + 8 + place] = b"\xff" * 4
    file = tmp_path / "set.zip"
    file.write_bytes(data)
    with file.open("rb") as opened:
        try:
            open_dataset(opened, LIMITS).read(0, MOST)
        except ConvscopeError as error:
            assert error.code in REFUSALS  # noqa: PT017 - or it can be read


def test_picture_is_damaged_when_it_lies_before_the_beginning(tmp_path: Path):
    """A real file cannot be sought below zero, and says so as an OSError; one in memory as a ValueError."""
    data = bytearray(zipped("a.png").getvalue())
    end = data.index(b"PK\x05\x06")
    # A listing that is said to begin later: what it tells of is sought as much before.
    offset = struct.unpack_from("<L", data, end + 16)[0]
    data[end + 16 : end + 20] = (offset + 1000).to_bytes(4, "little")
    file = tmp_path / "set.zip"
    file.write_bytes(data)
    for opened in (io.BytesIO(data), file.open("rb")):
        with opened, pytest.raises(ImageInvalidError, match="damaged"):
            open_dataset(opened, LIMITS).read(0, MOST)


def test_one_picture_is_damaged_when_its_bytes_are_others():
    data = zipped("a.png", "b.png", data=a_photo()).getvalue()
    start = data.index(b"b.png") + 20
    found = open_dataset(io.BytesIO(data[:start] + bytes(8) + data[start + 8 :]), LIMITS)
    assert found.read(0, MOST) == a_photo()
    with pytest.raises(ImageInvalidError):
        found.read(1, MOST)


def test_link_is_read_as_its_own_bytes_when_the_zip_has_one():
    buffer = io.BytesIO()
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert open_dataset(buffer, LIMITS).read(0, MOST) == b"/etc/passwd"
