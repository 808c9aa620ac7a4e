"""Pictures made to break decoders, and pictures that merely look odd: each has one right answer."""

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from tests.contract.conftest import assert_problem

# A server does not turn warnings into errors, and a decoder's warning must not be what saves us.
pytestmark = pytest.mark.filterwarnings("ignore")

# What a user should get. None: the picture is odd, but a picture.
HOSTILE = {
    "16bit.cropped.tif": None,
    "apng_mode_16bit.png": None,
    "apng_mode_palette_alpha.png": None,
    "bmp_b_badwidth.bmp": "image_too_many_pixels",
    "broken.png": "image_invalid",
    "broken_data_stream.png": "image_invalid",
    "decompression_bomb.gif": "image_too_many_pixels",
    "decompression_bomb.ico": "image_invalid",
    "exif_typeerror.jpg": None,
    "hopper.webp": None,
    "hopper_bad_exif.jpg": None,
    "hopper_gray.jpg": None,
    "hopper_orientation_6.webp": None,
    "iss634.gif": None,
    "palette_wedge.png": None,
    "pil123rgba.png": None,
    "pil_sample_cmyk.jpg": None,
    "pngtest_bad.png.bin": "image_invalid",
    "sugarshack.mpo": None,
    "transparent.png": None,
    "truncated_image.png": "image_invalid",
    "truncated_jpeg.jpg": "image_invalid",
}
EXIF = {"Landscape": [3, 5, 6, 8], "Portrait": [2, 6, 7]}
# Generous: a guard against hanging, not a measurement.
LIMIT_SECONDS = 30


def _result(client: TestClient, data: bytes, model: str = "open", method: str = "grad-cam") -> dict[str, Any]:
    response = client.post(f"/v1/models/{model}/{method}", files={"image": data})
    assert response.status_code == 200, response.text[:300]
    result: dict[str, Any] = response.json()
    return result


def _image(result: dict[str, Any], name: str) -> NDArray[np.float64]:
    data = next(image["data"] for image in result["images"] if image["name"] == name)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), np.float64)


@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("model", ["tiny", "gray", "open"])
@pytest.mark.parametrize(("name", "code"), HOSTILE.items(), ids=HOSTILE)
def test_answer_is_a_picture_or_a_reason_when_the_image_is_hostile(
    client: TestClient, test_data: Path, name: str, code: str | None, model: str
) -> None:
    data = (test_data / "images" / "hostile" / name).read_bytes()
    for method in ("grad-cam", "predictions"):
        response = client.post(f"/v1/models/{model}/{method}", files={"image": (name, data)})
        if code is None:
            assert response.status_code == 200, response.text[:300]
        else:
            problem = assert_problem(response, 422, code)
            assert problem["errors"][0]["pointer"] == "#/image"


@pytest.mark.timeout(LIMIT_SECONDS)
def test_icon_is_refused_when_it_hides_a_huge_picture(client: TestClient) -> None:
    """Pillow decodes an icon while it opens it, before anyone could look at the size."""
    huge = io.BytesIO()
    Image.new("1", (8000, 6000)).save(huge, "PNG")
    directory = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, huge.tell(), 22)
    response = client.post("/v1/models/tiny/predictions", files={"image": directory + huge.getvalue()})
    assert_problem(response, 422, "image_invalid", "PNG", "JPEG")


def test_every_hostile_image_has_an_expectation_when_the_folder_is_listed(test_data: Path) -> None:
    assert {path.name for path in (test_data / "images" / "hostile").iterdir()} == set(HOSTILE)


@pytest.mark.parametrize(
    ("series", "orientation"),
    [pytest.param(name, number, id=f"{name}-{number}") for name, numbers in EXIF.items() for number in numbers],
)
def test_network_sees_it_upright_when_exif_says_how_it_lies(
    client: TestClient, test_data: Path, series: str, orientation: int
) -> None:
    folder = test_data / "images" / "exif"
    upright = _result(client, (folder / f"{series}_1.jpg").read_bytes())
    turned = _result(client, (folder / f"{series}_{orientation}.jpg").read_bytes())
    expected, seen = _image(upright, "input"), _image(turned, "input")
    assert seen.shape == expected.shape
    # The pictures carry their number as text, so they are not equal; turned wrongly, they differ by far more.
    difference = np.abs(seen - expected).mean()
    assert difference < 8
    for wrong in (expected[::-1], expected[:, ::-1], expected[::-1, ::-1]):
        assert np.abs(seen - wrong).mean() > 3 * difference
    assert _image(turned, "overlay").shape == _image(upright, "overlay").shape


def test_network_sees_it_upright_when_a_webp_says_how_it_lies(client: TestClient, test_data: Path) -> None:
    folder = test_data / "images" / "hostile"
    upright = _image(_result(client, (folder / "hopper.webp").read_bytes()), "input")
    turned = _image(_result(client, (folder / "hopper_orientation_6.webp").read_bytes()), "input")
    assert np.abs(turned - upright).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_network_sees_it_upright_when_a_drawn_picture_is_turned(client: TestClient, orientation: int) -> None:
    """The oracle is EXIF's own table: where row 0 and column 0 lie."""
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30], upright[:20, 30:], upright[20:, :30] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    stored: dict[int, Callable[[], NDArray[np.uint8]]] = {
        1: lambda: upright,
        2: lambda: upright[:, ::-1],
        3: lambda: upright[::-1, ::-1],
        4: lambda: upright[::-1],
        5: lambda: upright.transpose(1, 0, 2),
        6: lambda: np.rot90(upright),
        7: lambda: np.rot90(upright, 2).transpose(1, 0, 2),
        8: lambda: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored[orientation]())).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(_image(_result(client, buffer.getvalue()), "input"), upright)


@pytest.mark.parametrize("name", ["pil123rgba.png", "transparent.png", "apng_mode_palette_alpha.png"])
def test_transparent_parts_are_white_when_there_is_alpha(client: TestClient, test_data: Path, name: str) -> None:
    data = (test_data / "images" / "hostile" / name).read_bytes()
    rgba = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), np.float64)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(_image(_result(client, data), "input") - expected).max() <= 1


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "1-colour-key"])
def test_transparent_parts_are_white_when_the_alpha_is_drawn(client: TestClient, kind: str) -> None:
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:, 10:] = (80, 80, 80, 255)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if kind == "1-colour-key":
        image.convert("RGB").save(buffer, "PNG", transparency=(0, 0, 0))
    else:
        image.convert(kind).save(buffer, "PNG")
    seen = _image(_result(client, buffer.getvalue()), "input")
    assert (seen[:, :10] == 255).all()
    assert (seen[:, 10:] == 80).all()


def test_brightness_is_right_when_a_picture_has_16_bits(client: TestClient, test_data: Path) -> None:
    data = (test_data / "images" / "hostile" / "16bit.cropped.tif").read_bytes()
    stored = np.asarray(Image.open(io.BytesIO(data)), np.float64)
    seen = _image(_result(client, data), "input")
    # Its values are 291 to 694, of ten bits.
    assert np.abs(seen - stored[..., None] / 1023 * 255).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_brightness_is_right_when_a_gray_ramp_has_16_bits(client: TestClient, kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (8, 1))
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, kind)
    seen = _image(_result(client, buffer.getvalue()), "input")
    assert np.abs(seen[..., 0] - np.arange(256)).max() <= 1


def test_colours_are_right_when_the_picture_is_cmyk(client: TestClient, test_data: Path) -> None:
    data = (test_data / "images" / "hostile" / "pil_sample_cmyk.jpg").read_bytes()
    cmyk = np.asarray(Image.open(io.BytesIO(data)), np.float64) / 255
    expected = 255 * (1 - cmyk[..., :3]) * (1 - cmyk[..., 3:])
    assert np.abs(_image(_result(client, data), "input") - expected).mean() < 3


def test_first_frame_is_seen_when_the_picture_moves(client: TestClient, test_data: Path) -> None:
    for name in ("iss634.gif", "sugarshack.mpo"):
        data = (test_data / "images" / "hostile" / name).read_bytes()
        with Image.open(io.BytesIO(data)) as moving:
            first = moving.convert("RGB")
        seen = _image(_result(client, data), "input")
        factor = min(1, 512 / max(first.size))
        size = round(first.width * factor), round(first.height * factor)
        expected = np.asarray(first.resize(size, Image.Resampling.BILINEAR), np.float64)
        assert np.abs(seen - expected).max() <= 1
