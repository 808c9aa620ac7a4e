"""Class names: ImageNet's, shipped with the package, and those of files as editors and programs write them."""

from pathlib import Path

import pytest

from service.errors import ModelFailedError
from service.models.labels import imagenet_labels, read_labels
from service.models.model_config import read_model_config


def test_names_stand_at_their_index_when_imagenet_is_asked_for():
    labels = imagenet_labels()
    assert len(labels) == 1000
    # Known indices of ILSVRC 2012 as keras.applications counts them.
    assert (labels[0], labels[1], labels[243], labels[282], labels[386], labels[999]) == (
        "tench",
        "goldfish",
        "bull_mastiff",
        "tiger_cat",
        "African_elephant",
        "toilet_tissue",
    )


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        ("\ufeffcat\r\ndog\r\n".encode(), ("cat", "dog")),
        ("\ufeffkatze\r\nkäfer".encode("utf-16-le"), ("katze", "käfer")),
        ("\ufeffcat\ndog".encode("utf-16-be"), ("cat", "dog")),
        # Teachable Machine.
        (b"0 cat\n1 dog 2\n", ("cat", "dog 2")),
        (b"\xef\xbb\xbf0 cat\r\n1\tdog\r\n", ("cat", "dog")),
        (
            "\n".join(f"{number} class {number}" for number in range(12)).encode(),
            tuple(f"class {n}" for n in range(12)),
        ),
        # Numbers that are names.
        (b"0 cat\ndog\n", ("0 cat", "dog")),
        (b"1 cat\n2 dog\n", ("1 cat", "2 dog")),
        (b"1 cat\n0 dog\n", ("1 cat", "0 dog")),
        (b"0\n1\n2\n", ("0", "1", "2")),
        (b"7 Up\n", ("7 Up",)),
    ],
)
def test_labels_are_the_names_alone_when_a_file_has_marks_or_numbers(tmp_path: Path, data: bytes, labels: tuple[str]):
    (tmp_path / "labels.txt").write_bytes(data)
    assert read_labels("labels.txt", tmp_path) == labels


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_model_toml_is_read_when_an_editor_wrote_a_byte_order_mark(tmp_path: Path, encoding: str):
    (tmp_path / "model.toml").write_bytes('labels = ["Katze", "Käfer"]\r\n'.encode(encoding))
    assert read_model_config(tmp_path).labels == ["Katze", "Käfer"]


def test_model_toml_is_refused_when_it_is_no_text(tmp_path: Path):
    (tmp_path / "model.toml").write_bytes(b"\xff\xfeodd")
    with pytest.raises(ModelFailedError, match=r"model\.toml is not TOML"):
        read_model_config(tmp_path)
