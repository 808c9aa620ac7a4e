"""Whatever a client sends wrongly: the right problem, a sentence that helps, and a service that is unhurt."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.contract.conftest import MakeClient, assert_problem, encoded, png

GRAD_CAM = "/v1/models/tiny/grad-cam"
PREDICTIONS = "/v1/models/tiny/predictions"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _next_good_request_is_answered(client: TestClient, picture: bytes) -> Iterator[None]:
    yield
    assert client.post(PREDICTIONS, files={"image": picture}).status_code == 200


def _post_json(client: TestClient, picture: bytes, **params: Any) -> Any:
    return client.post(GRAD_CAM, json={"image": encoded(picture), **params})


def _post_form(client: TestClient, picture: bytes, **params: str) -> Any:
    return client.post(GRAD_CAM, files={"image": picture}, data=params)


def _pointers(problem: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in problem["errors"]]


# ---- images


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param(b"hello, I am no picture", "PNG", id="text"),
        pytest.param(b"%PDF-1.7\n1 0 obj", "PNG", id="pdf"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "PNG", id="svg"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PNG", id="eps"),
        pytest.param(b"\0" * 1000, "PNG", id="zeros"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "", id="png-signature-alone"),
        pytest.param(b"\xff\xd8\xff", "", id="jpeg-signature-alone"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(png(Image.effect_noise((64, 64), 80))[:900], "cut short", id="truncated-png"),
        pytest.param(_jpeg()[:900], "cut short", id="truncated-jpeg"),
        pytest.param(_png_header(64, 64), "cut short", id="png-without-pixels"),
    ],
)
@pytest.mark.parametrize("form", [True, False], ids=["form", "json"])
def test_image_is_refused_when_it_is_no_picture(client: TestClient, data: bytes, word: str, form: bool) -> None:  # noqa: FBT001
    response = _post_form(client, data) if form else _post_json(client, data)
    problem = assert_problem(response, 422, "image_invalid", word)
    assert _pointers(problem) == ["#/image"]


@pytest.mark.parametrize("side", [20_000, 50_000, 2**31 - 1], ids=str)
def test_image_is_refused_before_decoding_when_its_header_claims_too_many_pixels(client: TestClient, side: int) -> None:
    problem = assert_problem(_post_form(client, _png_header(side, side)), 422, "image_too_many_pixels", "40000000")
    assert _pointers(problem) == ["#/image"]


def test_image_is_refused_when_it_has_more_pixels_than_the_setting(make_client: MakeClient, picture: bytes) -> None:
    response = _post_form(make_client(max_image_pixels=48 * 32 - 1), picture)
    assert_problem(response, 422, "image_too_many_pixels", "48 x 32", "1535")


def test_image_is_taken_when_it_has_as_many_bytes_as_the_setting(make_client: MakeClient, picture: bytes) -> None:
    exact = make_client(max_image_bytes=len(picture))
    assert _post_form(exact, picture).status_code == 200
    assert _post_json(exact, picture).status_code == 200


@pytest.fixture(scope="module")
def small(make_client: MakeClient, picture: bytes) -> TestClient:
    """An application that takes one byte less than the picture has."""
    client: TestClient = make_client(max_image_bytes=len(picture) - 1, dataset_bytes=1000)
    return client


@pytest.mark.parametrize("way", ["form", "field", "json", "data-url"])
def test_image_is_refused_when_it_has_more_bytes_than_the_setting(small: TestClient, picture: bytes, way: str) -> None:
    limit = len(picture) - 1
    text = encoded(picture)
    response = {
        "form": lambda: _post_form(small, picture),
        "field": lambda: small.post(GRAD_CAM, files={"image": (None, text)}),
        "json": lambda: _post_json(small, picture),
        "data-url": lambda: small.post(GRAD_CAM, json={"image": f"data:image/png;base64,{text}"}),
    }[way]()
    problem = assert_problem(response, 413, "image_too_large", str(limit + 1), str(limit))
    assert _pointers(problem) == ["#/image"]


@pytest.mark.parametrize("times", [3, 12], ids=["drained", "cut-off"])
@pytest.mark.parametrize("form", [True, False], ids=["form", "json"])
def test_body_is_refused_when_it_is_far_too_large(small: TestClient, times: int, form: bool) -> None:  # noqa: FBT001
    data = b"x" * (times * 2**20)
    response = small.post(GRAD_CAM, files={"image": data}) if form else small.post(GRAD_CAM, content=data, headers=JSON)
    assert_problem(response, 413, "body_too_large", "bytes")


def test_image_is_asked_for_when_none_is_sent(client: TestClient) -> None:
    for response in (
        client.post(GRAD_CAM, json={"layer": "conv1"}),
        client.post(GRAD_CAM, json={"image": None}),
        client.post(GRAD_CAM, files={"layer": (None, "conv1")}),
        client.post(GRAD_CAM),
    ):
        problem = assert_problem(response, 422, "image_missing", "image", "base64")
        assert _pointers(problem) == ["#/image"]


def test_image_is_refused_when_it_is_sent_twice(client: TestClient, picture: bytes) -> None:
    response = client.post(GRAD_CAM, files=[("image", ("a.png", picture)), ("image", ("b.png", picture))])
    assert_problem(response, 422, "image_invalid", "more than once")


def test_field_name_is_explained_when_the_file_is_under_another(client: TestClient, picture: bytes) -> None:
    problem = assert_problem(client.post(GRAD_CAM, files={"picture": picture}), 422, "invalid_parameters", "'image'")
    assert _pointers(problem) == ["#/picture"]


@pytest.mark.parametrize("value", [3, True, ["aGVsbG8="], {"b64": "aGVsbG8="}], ids=repr)
def test_image_is_refused_when_it_is_no_string(client: TestClient, value: object) -> None:
    assert_problem(client.post(GRAD_CAM, json={"image": value}), 422, "image_invalid", "string", "base64")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("%%%", "base64"),
        ("aGVsbG8", "base64"),
        ("cat.jpg", "base64"),
        ("https://example.org/cat.jpg", "base64"),
        ("ünïcödé", "base64"),
        ("data:image/png,%89PNG", "data URL"),
        ("data:image/png", "data URL"),
        ("data:image/png;base64,%%%", "base64"),
        ("data:image/png;base64,", "empty"),
        ("", "empty"),
    ],
)
def test_image_is_refused_when_it_is_not_base64(client: TestClient, text: str, word: str) -> None:
    problem = assert_problem(client.post(GRAD_CAM, json={"image": text}), 422, "image_invalid", word)
    assert _pointers(problem) == ["#/image"]


# ---- bodies


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("text/plain", "text/plain"),
        ("image/png", "image/png"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ("application/merge-patch+json", "application/merge-patch+json"),
        ("multipart/mixed; boundary=x", "multipart/mixed"),
        ("nonsense", "nonsense"),
        (None, "no Content-Type"),
    ],
)
def test_content_type_is_refused_when_it_is_neither_form_nor_json(
    client: TestClient, content_type: str | None, said: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = client.post(GRAD_CAM, content=b"layer=conv1", headers=headers)
    assert_problem(response, 415, "unsupported_media_type", said, "multipart/form-data", "application/json")


def _form_body(*fields: tuple[str, str], end: bool = True) -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return ("".join(parts) + ("--x--\r\n" if end else "")).encode()


@pytest.mark.parametrize(
    ("content_type", "body", "word"),
    [
        pytest.param("multipart/form-data", _form_body(("top", "3")), "boundary", id="no-boundary"),
        pytest.param("multipart/form-data; boundary=", _form_body(("top", "3")), "", id="empty-boundary"),
        pytest.param("multipart/form-data; boundary=y", _form_body(("top", "3")), "", id="other-boundary"),
        pytest.param("multipart/form-data; boundary=x", b"garbage \0\xff\r\n" * 20, "", id="garbage"),
        pytest.param("multipart/form-data; boundary=x", _form_body(("top", "3"), end=False), "", id="cut-off"),
        pytest.param("multipart/form-data; boundary=x", b"--x\r\nContent-Disp", "", id="cut-off-in-header"),
        pytest.param("multipart/form-data; boundary=x", b"--x\r\n\r\n3\r\n--x--\r\n", "name", id="part-without-name"),
        pytest.param(
            "multipart/form-data; boundary=x",
            _form_body(*((f"field{index}", "1") for index in range(10_000))),
            "64",
            id="10000-fields",
        ),
        pytest.param("multipart/form-data; boundary=x", _form_body(("layer", "a" * 2**20 + "a")), "", id="long-field"),
        pytest.param(
            "multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 50_000 + b": b\r\n\r\n--x--", "", id="long-header"
        ),
    ],
)
def test_form_is_refused_when_it_cannot_be_read(client: TestClient, content_type: str, body: bytes, word: str) -> None:
    response = client.post(GRAD_CAM, content=body, headers={"Content-Type": content_type})
    assert_problem(response, 400, "invalid_form", "multipart form", word)


@pytest.mark.parametrize("charset", ["zlib", "hex", "undefined", "utf-16", "no-such", "idna"])
def test_form_never_breaks_the_service_when_its_charset_is_odd(client: TestClient, charset: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    response = client.post(GRAD_CAM, content=_form_body(("layer", "\u00fc\u00f1")), headers=headers)
    assert response.status_code in (400, 422)
    assert_problem(response, response.status_code, response.json()["code"])


def test_form_is_refused_when_the_picture_is_cut_off(client: TestClient, picture: bytes) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(client.post(GRAD_CAM, content=head + picture, headers=headers), 400, "invalid_form")


def test_form_is_refused_when_it_holds_too_many_files(client: TestClient, picture: bytes) -> None:
    response = client.post(GRAD_CAM, files=[(f"image{index}", picture) for index in range(101)])
    assert_problem(response, 400, "invalid_form", "100")
    response = client.post("/v1/models/tiny/filters", files=[(f"image{index}", picture) for index in range(9)])
    assert_problem(response, 400, "invalid_form", "8")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"layer": "con', id="truncated"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"3", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"image"', id="string"),
        pytest.param(b"{'layer': 'conv1'}", id="single-quotes"),
        pytest.param(b'{"layer": "conv1"} {}', id="two-objects"),
        pytest.param(b'{"layer": "\xff\xfe"}', id="invalid-utf-8"),
        pytest.param('{"layer": "conv1"}'.encode("utf-16"), id="utf-16"),
        pytest.param(rb'{"layer": "\ud800"}', id="lone-surrogate"),
        pytest.param(rb'{"\udfff": 1}', id="lone-surrogate-as-name"),
        pytest.param(b'{"opacity": NaN}', id="nan"),
        pytest.param(b'{"opacity": Infinity}', id="infinity"),
        pytest.param(b'{"opacity": -Infinity}', id="minus-infinity"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="100000-deep"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="100000-deep-list"),
        pytest.param(b'{"class_index": ' + b"9" * 100_000 + b"}", id="100000-digits"),
    ],
)
def test_json_is_refused_when_it_is_no_json_object(client: TestClient, body: bytes) -> None:
    assert_problem(client.post(GRAD_CAM, content=body, headers=JSON), 400, "invalid_json", "JSON")


@pytest.mark.parametrize("name", ["layer", "top", "class_index", "image", "nested"])
def test_value_is_refused_when_it_is_a_deep_object(client: TestClient, name: str) -> None:
    body = b'{"%s": %s1%s}' % (name.encode(), b'{"a":' * 50, b"}" * 50)
    response = client.post(GRAD_CAM, content=body, headers=JSON)
    code = "image_invalid" if name == "image" else "invalid_parameters"
    assert _pointers(assert_problem(response, 422, code, name)) == [f"#/{name}"]


# ---- names that do not exist


@pytest.mark.parametrize(("name", "word"), [("tinny", "'tiny'"), ("9999", "/v1/models"), ("Tiny", "'tiny'")])
def test_model_is_named_when_it_is_unknown(client: TestClient, picture: bytes, name: str, word: str) -> None:
    for response in (
        client.post(f"/v1/models/{name}/grad-cam", files={"image": picture}),
        client.get(f"/v1/models/{name}"),
        client.get(f"/v1/models/{name}/layers"),
        client.get(f"/v1/models/{name}/versions/1"),
    ):
        assert_problem(response, 404, "model_not_found", f"'{name}'", word)


@pytest.mark.parametrize("version", ["3", "0", "-1", "latest", "1.0", "02", "9" * 30, "\u0662"])
def test_versions_are_listed_when_the_version_is_unknown(client: TestClient, picture: bytes, version: str) -> None:
    place = f"/v1/models/versions/versions/{version}"
    for response in (
        client.get(place),
        client.get(f"{place}/layers"),
        client.post(f"{place}/grad-cam", files={"image": picture}),
    ):
        assert_problem(response, 404, "version_not_found", f"'{version}'", "10, 2")


@pytest.mark.parametrize(("layer", "word"), [("conv3", "'conv"), ("Conv1", "'conv1'"), ("zzz", "layers")])
def test_layer_is_named_when_it_is_unknown(client: TestClient, picture: bytes, layer: str, word: str) -> None:
    for response in (_post_json(client, picture, layer=layer), _post_form(client, picture, layer=layer)):
        problem = assert_problem(response, 422, "layer_not_found", f"'{layer}'", word)
        assert _pointers(problem) == ["#/layer"]


@pytest.mark.parametrize("layer", ["gap", "scores"])
def test_nearest_layer_with_space_is_named_when_the_layer_has_none(
    client: TestClient, picture: bytes, layer: str
) -> None:
    problem = assert_problem(_post_json(client, picture, layer=layer), 422, "layer_not_spatial", layer, "'conv2'")
    assert _pointers(problem) == ["#/layer"]


@pytest.mark.parametrize("index", [4, 1000, 2**31 - 1], ids=str)
def test_classes_are_named_when_the_class_is_out_of_range(client: TestClient, picture: bytes, index: int) -> None:
    for response in (
        _post_json(client, picture, class_index=index),
        _post_form(client, picture, class_index=str(index)),
    ):
        problem = assert_problem(response, 422, "class_out_of_range", str(index), "0 to 3")
        assert _pointers(problem) == ["#/class_index"]


@pytest.mark.parametrize("value", [-1, 2**31, 10**30, 1.5, "star", "", True, [1], {}, "٣"], ids=repr)
def test_class_is_refused_when_it_is_no_class_number(client: TestClient, picture: bytes, value: object) -> None:
    problem = assert_problem(_post_json(client, picture, class_index=value), 422, "invalid_parameters", "class_index")
    assert _pointers(problem) == ["#/class_index"]


@pytest.mark.parametrize(
    "text", ["-1", "1" + "0" * 30, "9" * 10_000, "1e3", "0x1", "nan", " ", "null"], ids=lambda text: text[:9]
)
def test_class_is_refused_when_the_form_holds_no_class_number(client: TestClient, picture: bytes, text: str) -> None:
    problem = assert_problem(_post_form(client, picture, class_index=text), 422, "invalid_parameters", "class_index")
    assert _pointers(problem) == ["#/class_index"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("colourmap", "'colormap'"),
        ("layers", "'layer'"),
        ("classindex", "'class_index'"),
        ("imgae", "'image'"),
        ("zzz", "class_index"),
        ("a/b~c", "class_index"),
        ("", "class_index"),
    ],
)
def test_parameter_is_named_when_it_is_unknown(client: TestClient, picture: bytes, name: str, word: str) -> None:
    problem = assert_problem(_post_json(client, picture, **{name: "1"}), 422, "invalid_parameters", name, word)
    escaped = name.replace("~", "~0").replace("/", "~1")
    assert _pointers(problem) == [f"#/{escaped}"]
    if name:
        assert _pointers(_post_form(client, picture, **{name: "1"}).json()) == [f"#/{escaped}"]


def test_colour_maps_are_listed_when_the_colour_map_is_unknown(client: TestClient, picture: bytes) -> None:
    for response in (_post_json(client, picture, colormap="infreno"), _post_form(client, picture, colormap="infreno")):
        problem = assert_problem(response, 422, "invalid_parameters", "colormap", "'inferno'")
        assert _pointers(problem) == ["#/colormap"]


# ---- values that are out of range


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("opacity", "-0.1"),
        ("opacity", "1.01"),
        ("opacity", "nan"),
        ("opacity", "inf"),
        ("opacity", "1e999"),
        ("opacity", "half"),
        ("scale_max", "0"),
        ("scale_max", "-1"),
        ("scale_max", "nan"),
        ("scale", "logarithmic"),
        ("values", "all"),
        ("top", "0"),
        ("top", "-1"),
        ("top", "1001"),
        ("top", "many"),
        ("top", "1.5"),
        ("layer", "x" * 501),
    ],
)
def test_value_is_refused_when_it_is_out_of_range(client: TestClient, picture: bytes, name: str, value: str) -> None:
    extra = {"scale": "fixed"} if name == "scale_max" else {}
    for response in (
        _post_form(client, picture, **{name: value}, **extra),
        _post_json(client, picture, **{name: value}, **extra),
    ):
        problem = assert_problem(response, 422, "invalid_parameters", name)
        assert _pointers(problem) == [f"#/{name}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("opacity", [0.5]),
        ("opacity", True),
        ("opacity", None),
        ("top", True),
        ("top", None),
        ("top", {}),
        ("layer", 3.5),
        ("layer", ["conv1"]),
        ("layer", False),
        ("colormap", 1),
        ("colormap", None),
        ("values", ["raw"]),
        ("scale", {}),
    ],
    ids=repr,
)
def test_value_is_refused_when_it_has_another_type(
    client: TestClient, picture: bytes, name: str, value: object
) -> None:
    problem = assert_problem(_post_json(client, picture, **{name: value}), 422, "invalid_parameters", name)
    assert _pointers(problem) == [f"#/{name}"]


@pytest.mark.parametrize("params", [{"scale": "fixed"}, {"scale_max": 2.0}], ids=repr)
def test_fixed_scale_is_refused_when_it_lacks_its_half(
    client: TestClient, picture: bytes, params: dict[str, Any]
) -> None:
    assert_problem(_post_json(client, picture, **params), 422, "invalid_parameters", "scale=fixed", "scale_max")


def test_every_fault_is_pointed_at_when_there_are_several(client: TestClient, picture: bytes) -> None:
    response = _post_json(client, picture, opacity=3, top=0, colormap="pink", layre="conv1")
    problem = assert_problem(response, 422, "invalid_parameters")
    assert sorted(_pointers(problem)) == ["#/colormap", "#/layre", "#/opacity", "#/top"]


def test_parameter_is_refused_when_a_form_gives_it_twice(client: TestClient, picture: bytes) -> None:
    response = client.post(GRAD_CAM, files={"image": picture}, data={"top": ["1", "2"]})
    assert _pointers(assert_problem(response, 422, "invalid_parameters", "top", "more than once")) == ["#/top"]


def test_parameter_is_refused_when_it_is_a_file(client: TestClient, picture: bytes) -> None:
    response = client.post(GRAD_CAM, files={"image": picture, "layer": b"conv1"})
    assert _pointers(assert_problem(response, 422, "invalid_parameters", "layer", "file")) == ["#/layer"]


def test_blank_form_fields_mean_the_default_when_a_browser_sends_them(client: TestClient, picture: bytes) -> None:
    response = _post_form(client, picture, layer="", class_index="", top="", opacity="", colormap="")
    assert response.status_code == 200
    assert response.json()["provenance"]["params"]["opacity"] == 0.4


def test_empty_layer_is_refused_when_json_says_so(client: TestClient, picture: bytes) -> None:
    problem = assert_problem(_post_json(client, picture, layer=""), 422, "invalid_parameters", "layer")
    assert _pointers(problem) == ["#/layer"]


# ---- paths, methods, media types


@pytest.mark.parametrize(
    "segment",
    [
        "%00",
        "tiny%00",
        "%2e%2e",
        "..%5c..",
        "%2e",
        "~root",
        "a%20b",
        "%C3%A9",
        "%F0%9F%98%80",
        "%FF",
        "%E2%80%AE",
        "a" * 256,
        "a" * 5000,
        "{model}",
        "%25s",
        "model.toml",
        "tiny%0d%0aX-Evil:%201",
        "-",
        "*",
    ],
    ids=lambda text: text[:20],
)
def test_model_is_unknown_when_its_name_is_odd(client: TestClient, picture: bytes, segment: str) -> None:
    for response in (
        client.get(f"/v1/models/{segment}"),
        client.get(f"/v1/models/{segment}/layers"),
        client.get(f"/v1/models/{segment}/versions/1"),
        client.get(f"/v1/models/tiny/versions/{segment}"),
        client.post(f"/v1/models/{segment}/predictions", files={"image": picture}),
    ):
        code = "version_not_found" if "/tiny/" in str(response.request.url) else "model_not_found"
        problem = assert_problem(response, 404, code)
        # RFC 9457: `instance` is a URI reference.
        assert re.fullmatch(r"[!-~]+", problem["instance"])


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/v1/models/tiny/heat-map",
        "/v1/models/..%2f..%2fetc",
        "/v1/models/tiny/versions",
        "/docs/assets/nothing.js",
        "/docs/assets/..%2f..%2f..%2fapi",
        "/problems/nothing",
        "//v1/models",
        "/%00",
    ],
)
def test_route_is_unknown_when_nothing_is_there(client: TestClient, path: str) -> None:
    assert_problem(client.get(path), 404, "not_found", "/docs")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", GRAD_CAM, {"POST"}),
        ("PUT", GRAD_CAM, {"POST"}),
        ("DELETE", "/v1/models/tiny", {"GET"}),
        ("POST", "/v1/models", {"GET"}),
        ("POST", "/livez", {"GET"}),
        ("OPTIONS", GRAD_CAM, {"POST"}),
        ("PATCH", "/v1/models/tiny/versions/1/predictions", {"POST"}),
        ("POST", "/docs/assets/swagger-ui.css", {"GET"}),
    ],
)
def test_allowed_methods_are_named_when_the_method_is_wrong(
    client: TestClient, method: str, path: str, allowed: set[str]
) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, "method_not_allowed", method)
    assert allowed <= set(response.headers["allow"].split(", ")) <= allowed | {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", ["/livez", "/v1/models", GRAD_CAM, "/nothing"])
def test_head_is_answered_as_for_any_fastapi_service_when_asked(client: TestClient, path: str) -> None:
    response = client.head(path)
    assert response.status_code == (404 if path == "/nothing" else 405)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "image/png"),
        ("image/png;q=0.9, application/json;q=0.1", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/*, image/png;q=0.5", "application/json"),
        ("*/*, application/json;q=0", "image/png"),
        ("image/png;q=0, */*", "application/json"),
    ],
)
def test_media_type_is_the_clients_wish_when_it_can_be_had(
    client: TestClient, picture: bytes, accept: str, media_type: str
) -> None:
    response = client.post(GRAD_CAM, files={"image": picture}, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert "accept" in response.headers["vary"].lower()


@pytest.mark.parametrize(
    "accept", ["text/html", "image/jpeg", "application/json;q=0", "nonsense", ";;;,,,q", "*/*;q=x"]
)
def test_media_type_is_refused_when_it_cannot_be_had(client: TestClient, picture: bytes, accept: str) -> None:
    response = client.post(GRAD_CAM, files={"image": picture}, headers={"Accept": accept})
    assert_problem(response, 406, "not_acceptable", accept, "application/json", "image/png")


def test_picture_is_refused_when_the_method_makes_none(client: TestClient, picture: bytes) -> None:
    response = client.post(PREDICTIONS, files={"image": picture}, headers={"Accept": "image/png"})
    problem = assert_problem(response, 406, "not_acceptable", "application/json")
    assert "answers image/png" not in problem["detail"]


def test_accept_headers_count_together_when_there_are_several(client: TestClient, picture: bytes) -> None:
    headers = [("Accept", "text/html"), ("Accept", "application/json")]
    assert client.post(GRAD_CAM, files={"image": picture}, headers=headers).status_code == 200


def test_refusal_is_a_problem_when_the_client_wants_a_picture(client: TestClient, picture: bytes) -> None:
    headers = {"Accept": "image/png"}
    response = client.post(GRAD_CAM, files={"image": picture}, data={"layer": "nothing"}, headers=headers)
    assert_problem(response, 422, "layer_not_found")


def test_method_is_refused_when_the_network_has_no_classes(client: TestClient, picture: bytes) -> None:
    for method in ("grad-cam", "predictions"):
        response = client.post(f"/v1/models/features/{method}", files={"image": picture})
        assert_problem(response, 422, "method_unavailable", method, "features", "class scores")
    methods = {item["name"]: item for item in client.get("/v1/models/features").json()["methods"]}
    assert {name for name, item in methods.items() if item["available"]} == {
        "activations",
        "filters",
        "filter-patterns",
        "layer-health",
        "unit-activations",
        "top-images",
    }
    assert all(item["available"] or item["reason"] for item in methods.values())
