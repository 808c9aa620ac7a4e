"""`/`: the page for people, its files under `/ui`, and the built-in scenes. Knows nothing of what the page does."""

import base64
import hashlib
import mimetypes
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Final, get_args

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from schemas.rendering import Colormap
from service.api.problems import prefix_of
from service.api.requests.negotiation import JSON, PNG, names
from service.demo.scenes import CLASSES, draw_scene
from service.engine.drawing.colormaps import lookup_table
from service.engine.drawing.png import encode_png

HTML: Final = "text/html"
_ALIVE: Final = b'{"status":"alive"}'
SCENE_SIDE: Final = 384
# From name to seed and class. All are told rightly by the built-in model but the last, a heart that it calls a drop.
SCENES: Final[Mapping[str, tuple[int, str]]] = {
    "star": (6, "star"),
    "ring": (9, "ring"),
    "heart": (3, "heart"),
    "stripes": (3, "stripes"),
    "cross": (7, "cross"),
    "checkerboard": (8, "checkerboard"),
    "drop": (6, "drop"),
    "circle": (8, "circle"),
    "triangle": (12, "triangle"),
    "square": (7, "square"),
    "mistaken": (1, "heart"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    # The files' names never change: browsers ask each time, and hear 304.
    "Cache-Control": "no-cache",
}
# The system's own table may say otherwise, or nothing.
_MEDIA_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".html": HTML}

router = APIRouter(include_in_schema=False)


class PageFiles(StaticFiles):
    """The page's files with the headers above; Starlette adds ETags and answers 304."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        suffix = PurePath(path).suffix
        media_type = _MEDIA_TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
        if response.status_code == 200:
            text = media_type.startswith("text/")
            response.headers["Content-Type"] = f"{media_type}; charset=utf-8" if text else media_type
        response.headers.update(_HEADERS)
        return response


def install(app: FastAPI) -> None:
    """Add the page; its own routes come before the folder of its files."""
    app.include_router(router)
    app.mount("/ui", _FILES, name="ui")


_FILES: Final = PageFiles(packages=[("service", "ui")])


@router.head("/")
@router.get("/")
async def start_page(request: Request) -> Response:
    """The page for browsers, which ask for HTML by name; for all else what KServe's clients look for."""
    if not names(", ".join(request.headers.getlist("accept")), HTML):
        return Response(_ALIVE, media_type=JSON, headers={"Vary": "Accept"})
    page = await anyio.to_thread.run_sync(_read_page, prefix_of(request))
    return _answer(request, page, HTML, {"Vary": "Accept"})


@router.get("/ui/facts.json")
async def facts() -> dict[str, list[str] | dict[str, str]]:
    """What the page must know to be drawn: its scenes, and every colour map as base64 of 256 RGB colours."""
    tables = {name: base64.b64encode(lookup_table(name).tobytes()).decode() for name in get_args(Colormap)}
    return {"scenes": list(SCENES), "colormaps": tables}


@router.get("/ui/scenes/{name}.png")
async def scene(request: Request, name: str) -> Response:
    if name not in SCENES:
        raise HTTPException(404)
    return _answer(request, await anyio.to_thread.run_sync(_draw, name), PNG, {})


def _answer(request: Request, data: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The data, or 304 where the browser has it."""
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    headers = {**_HEADERS, **headers, "ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


def _read_page(prefix: str) -> bytes:
    # Proxies that take the prefix off may show the page without the last slash, where relative addresses lead astray.
    page = (files("service") / "ui" / "index.html").read_text(encoding="utf-8")
    # Of others that nobody told of, relative ones are right.
    return (page.replace('="ui/', f'="{prefix}/ui/') if prefix else page).encode()


@cache
def _draw(name: str) -> bytes:
    seed, label = SCENES[name]
    index = CLASSES.index(label)
    drawn = draw_scene(np.random.default_rng([seed, index]), label=index, size=SCENE_SIDE)
    return encode_png(drawn.image)
