"""`/docs` with its viewer served from here, and a page for each problem code."""

import base64
import hashlib
from functools import cache
from html import escape

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from service.api.problem_types import PROBLEMS

router = APIRouter(include_in_schema=False)
_ASSETS = "docs/assets"


def install(app: FastAPI) -> None:
    """Add the pages and the viewer's files, which come from the locked `fastapi-swagger` package."""
    app.include_router(router)
    app.mount(f"/{_ASSETS}", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")


@router.get("/docs")
async def docs_page() -> HTMLResponse:
    return _viewer()


@cache
def _viewer() -> HTMLResponse:
    # Addresses relative to the page's own: below whatever path it is seen.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="convscope",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon-32x32.png",
    )
    # The script in the page starts the viewer: it and no other is let in. Swagger UI styles elements one by one.
    script = bytes(page.body).rpartition(b"<script>")[2].partition(b"</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page


@router.get("/problems/{code}")
async def problem_page(code: str) -> HTMLResponse:
    if code not in PROBLEMS:
        raise HTTPException(404)
    kind = PROBLEMS[code]
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{code}</title>"
        f"<h1>{escape(kind.title)}</h1><p><code>{code}</code>, HTTP status {kind.status}</p>"
        f"<p>{escape(kind.explanation)}</p>"
    )
