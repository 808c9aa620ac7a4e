"""A stranger's program over the generated client, without convscope beside it: `fetch.py URL PICTURE OUTPUT`."""

import base64
import json
import sys
from io import BytesIO
from pathlib import Path

from convscope_client import Client
from convscope_client.api.jobs import get_job_image
from convscope_client.api.visualizations import filter_patterns, grad_cam
from convscope_client.models import (
    FilterPatternsForm,
    FilterPatternsJobResult,
    GradCamBody,
    GradCamForm,
    GradCamFormValues,
    GradCamResult,
    Problem,
)
from convscope_client.types import File


def main(url: str, picture: Path, output: Path) -> None:
    with Client(base_url=url, timeout=None) as client:
        heat_map = fetch_heat_map(client, picture)
        (output / "overlay.png").write_bytes(overlay_of(heat_map))
        (output / "same.png").write_bytes(overlay_of(fetch_by_json(client, picture)))
        (output / "pattern.png").write_bytes(fetch_pattern(client))
        facts = {"result": heat_map.to_dict(), "refused": fetch_nothing(client)}
    (output / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def fetch_heat_map(client: Client, picture: Path) -> GradCamResult:
    image = File(BytesIO(picture.read_bytes()), picture.name, "image/png")
    form = GradCamForm(image=image, layer="conv3", values=GradCamFormValues.RAW)
    answer = grad_cam.sync("shapes", client=client, body=form)
    assert isinstance(answer, GradCamResult), answer
    return answer


def fetch_by_json(client: Client, picture: Path) -> GradCamResult:
    body = GradCamBody(image=base64.b64encode(picture.read_bytes()).decode(), layer="conv3")
    answer = grad_cam.sync("shapes", client=client, body=body)
    assert isinstance(answer, GradCamResult), answer
    return answer


def fetch_pattern(client: Client) -> bytes:
    form = FilterPatternsForm(layer="conv1", filters="0,1", steps=2, preprocess=True)
    answer = filter_patterns.sync("shapes", client=client, body=form, prefer="wait=60")
    assert isinstance(answer, FilterPatternsJobResult), answer
    job = answer.images[0].href.split("/")[3]
    pattern = get_job_image.sync(job, answer.images[0].name, client=client)
    assert isinstance(pattern, File), pattern
    data: bytes = pattern.payload.read()
    return data


def fetch_nothing(client: Client) -> str:
    answer = grad_cam.sync("nothing", client=client, body=GradCamBody(image=""))
    assert isinstance(answer, Problem), answer
    return answer.code


def overlay_of(result: GradCamResult) -> bytes:
    (data,) = (image.data for image in result.images if image.name == "overlay")
    return base64.b64decode(data, validate=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
