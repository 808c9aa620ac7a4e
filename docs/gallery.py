"""Makes the gallery with the service itself: of every method a picture, its request and what it says.

`make gallery` writes `gallery.md` and its pictures; a test holds that no method is missing.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.engine.kinds.method import AnyMethod
from service.engine.methods import METHODS
from service.settings import Settings

DOCS = Path(__file__).parent
PICTURES = DOCS / "images" / "gallery"
SCENE = "docs/images/scene.png"
GLYPH = "docs/images/glyph.png"
# Enough for overlays and textures; less than half of the bytes.
COLOURS = 256


@dataclass(frozen=True)
class Exhibit:
    """One request, and what its answer shows. `text` is Markdown; it says what to see, then how to read it.

    `image` is sent to `model` where the method takes one. `picture` is shown in place of the first.
    """

    method: str
    name: str
    text: str
    params: dict[str, str | int | float] = field(default_factory=dict)
    model: str = "shapes"
    image: str = SCENE
    picture: str | None = None


EXHIBITS = (
    Exhibit(
        "predictions",
        "predictions",
        "The scores of every class, after the model's own softmax or sigmoid: what the other pictures explain.",
        {"top": 3},
    ),
    Exhibit(
        "activations",
        "activations",
        "One map per channel of `conv2`, bright where the channel answers. Early layers answer to edges and colours "
        "all over the scene; the deeper the layer, the fewer places are left, and the more they mean. Each map is "
        "scaled by its own mean and deviation: compare places within a map, not maps.",
        {"layer": "conv2", "columns": 8},
    ),
    Exhibit(
        "activations",
        "channel",
        "One channel alone, drawn large: this one has found the star by its shape, not by its edges.",
        {"layer": "conv2", "channel": 1},
    ),
    Exhibit(
        "filters",
        "filters",
        "The kernels of the first layer, as the patches of colour that they look for. All share one scale: the "
        "stronger the colours, the stronger the kernel.",
        {"columns": 12},
    ),
    Exhibit(
        "filters",
        "weights",
        "The weights of sixteen filters of `conv2`, a row for each and a tile for each channel that it reads: red "
        "above zero, blue below, gray near it. A row with a few strong tiles listens to few channels.",
        {"layer": "conv2", "filters": "0-15", "colormap": "coolwarm", "scale": "shown"},
    ),
    Exhibit(
        "grad-cam",
        "grad-cam",
        "The class that the model calls first, which is right: the evidence lies on the star. Each channel of the last "
        "maps before the pooling counts by how much it moves the class's logit.",
    ),
    Exhibit(
        "grad-cam",
        "grad-cam-other-class",
        "The same scene, asked about another class: where the model sees what little speaks for a cross.",
        {"class_index": 4, "colormap": "viridis", "opacity": 0.6},
    ),
    Exhibit(
        "filter-patterns",
        "filter-patterns",
        "From noise, pictures are changed step by step until a filter answers as much as it can: what it would most "
        "like to see. Sixteen filters of `conv3`. This takes a while and is a [job](jobs.md); `Prefer` waits for it.",
        {"layer": "conv3", "filters": "0-15", "size": 96},
    ),
    Exhibit(
        "layer-health",
        "layer-health",
        "A row for each layer with filters: the share of zeros among its answers to a [dataset](datasets.md) of eighty "
        "scenes. Half of all answers are zero, nothing is dead, and no two filters are alike; that deeper layers are "
        "sparser is hardly true of this network. The JSON has the numbers of every channel.",
        {"dataset": "shapes"},
    ),
    Exhibit(
        "unit-activations",
        "unit-activations",
        "The first picture of five classes of a [dataset](datasets.md), and beside each the maps of ten units "
        "of `conv2`: across a row what units find in a picture, down a column what a unit looks for. Each column has a "
        "scale of its own. The other pictures of the answer are grids of all pictures by all units, of the greatest "
        "answer and of the mean.",
        {"dataset": "shapes", "layer": "conv2", "maps": 5},
    ),
    Exhibit(
        "top-images",
        "top-images",
        "For six units of `conv3` the patches of a [dataset](datasets.md) of eighty scenes that excite each most, the "
        "strongest first: some like an edge of one direction, some a corner, some stripes. A patch is all that the "
        "unit can see there; gray lies beyond the picture. A second picture marks the patches in the whole scenes.",
        {"dataset": "shapes", "layer": "conv3", "units": "0,3,5,7,8,13"},
    ),
    Exhibit(
        "autoencoder-reconstruction",
        "autoencoder-reconstruction",
        "A letter, what the model makes of it after it went through two numbers, and the difference: red where the "
        "reconstruction is too bright, blue where it is too dark, full colour at the difference of black and white. "
        "With a [dataset](datasets.md) the worst pictures come first, and the JSON has the mean error "
        "([autoencoders](autoencoders.md)).",
        model="glyphs",
        image=GLYPH,
    ),
    Exhibit(
        "autoencoder-coefficients",
        "autoencoder-coefficients",
        "The weights of the 32 units that are wired straight to the pixels, on one scale around zero: a unit answers "
        "to ink where it is red, and against ink where it is blue. Where no glyph ever has ink there is only noise. "
        "A second picture has each unit divided by its largest weight.",
        {"dataset": "glyphs"},
        model="glyphs",
    ),
    Exhibit(
        "autoencoder-coefficients",
        "autoencoder-decoder",
        "What the two units of the latent add to the reconstruction, and take away, a deviation above the mean.",
        {"dataset": "glyphs"},
        model="glyphs",
        picture="decoder",
    ),
    Exhibit(
        "autoencoder-latents",
        "autoencoder-latents",
        "Three hundred letters and digits, each at the two numbers that the model makes of it, in the colour of its "
        "folder: glyphs that look alike lie together, though no label was part of the training. The JSON has every "
        "latent, the ranges of the units, and how well the labels lie apart, a silhouette of 0.47.",
        {"dataset": "glyphs"},
        model="glyphs",
    ),
    Exhibit(
        "autoencoder-latents",
        "autoencoder-manifold",
        "The second picture of the same answer: what the decoder decodes at places all over that plane.",
        {"dataset": "glyphs"},
        model="glyphs",
        picture="manifold",
    ),
    Exhibit(
        "autoencoder-traversal",
        "autoencoder-traversal",
        "A row for each number of the latent: it goes through its range over the dataset, with its value below each "
        "tile, while the other stays at its mean. With `between=0,100` a second picture goes from the first glyph of "
        "the dataset to that of index 100.",
        {"dataset": "glyphs"},
        model="glyphs",
    ),
)


def main() -> None:
    """Write the page and its pictures anew."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    with TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, models=None, data=Path(folder))
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            sections = [_section(client, method) for method in METHODS.values()]
    page = DOCS / "gallery.md"
    page.write_text("\n".join([_introduction(), *sections]), encoding="utf-8")
    print(f"wrote {page.relative_to(DOCS.parent)}")


def _introduction() -> str:
    return (
        "# Gallery\n\n"
        "Every method on a built-in model, with the request that made the picture. Generated by `make gallery`\n"
        "with the service itself; do not edit. The scene and the letter are from the models' own generators:\n\n"
        "![A star over clutter](images/scene.png) ![The letter A](images/glyph.png)\n"
    )


def _section(client: TestClient, method: AnyMethod) -> str:
    exhibits = [exhibit for exhibit in EXHIBITS if exhibit.method == method.name]
    if not exhibits:
        raise SystemExit(f"the gallery shows nothing of '{method.name}': add an Exhibit to docs/gallery.py")
    head = f"## {method.title}\n\n`{method.name}`: {method.description}\n"
    return "\n".join([head, *(_show(client, method, exhibit) for exhibit in exhibits)])


def _show(client: TestClient, method: AnyMethod, exhibit: Exhibit) -> str:
    headers = {"Prefer": "wait=60"} if method.kind == "job" else {}
    form: dict[str, tuple[str | None, bytes]] = {
        name: (None, str(value).encode()) for name, value in exhibit.params.items()
    }
    if method.consumes == "image":
        form["image"] = (Path(exhibit.image).name, (DOCS.parent / exhibit.image).read_bytes())
    url = f"/v1/models/{exhibit.model}/{exhibit.method}"
    result = client.post(url, files=form, headers=headers).raise_for_status().json()
    if not result["images"]:
        rows = "".join(
            f"| {item['index']} | {item['label']} | {item['score']:.4f} |\n" for item in result["predictions"]
        )
        answer, output = f"| index | label | score |\n| --- | --- | --- |\n{rows}", ""
    else:
        if exhibit.picture is None:
            headers["Accept"] = "image/png"
            _save(client.post(url, files=form, headers=headers).raise_for_status().content, exhibit.name)
        else:
            _save(_choose(client, result["images"], exhibit.picture), exhibit.name)
        answer = f"![{_describe(exhibit)}](images/gallery/{exhibit.name}.png)\n"
        output = f" -o {exhibit.name}.{'json' if exhibit.picture else 'png'}"
    return f"{answer}\n{exhibit.text}\n\n```sh\n{_command(method, exhibit, headers)}{output}\n```\n"


def _choose(client: TestClient, images: list[dict[str, Any]], name: str) -> bytes:
    """One picture of a job's answer."""
    href = next(image["href"] for image in images if image["name"] == name)
    return client.get(href).raise_for_status().content


def _command(method: AnyMethod, exhibit: Exhibit, headers: dict[str, str]) -> str:
    words = [f"-H '{name}: {value}'" for name, value in headers.items()]
    words += [f"-F image=@{exhibit.image}"] if method.consumes == "image" else []
    words += [f"-F {name}={value}" for name, value in exhibit.params.items()]
    return f"curl -s {' '.join(words)} \\\n  http://127.0.0.1:8000/v1/models/{exhibit.model}/{exhibit.method}"


def _describe(exhibit: Exhibit) -> str:
    asked = ", ".join(f"{name} {value}" for name, value in exhibit.params.items())
    return f"The answer of {exhibit.method}" + (f" with {asked}" if asked else "")


def _save(png: bytes, name: str) -> None:
    """Fewer colours where the picture is a photo's overlay; the service's palette pictures stay as they are."""
    with Image.open(io.BytesIO(png)) as picture:
        smaller = picture.quantize(COLOURS, dither=Image.Dither.NONE) if picture.mode == "RGB" else picture
        smaller.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
