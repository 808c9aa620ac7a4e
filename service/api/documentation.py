"""`/docs` with its viewer served from here, and a page for each problem code."""

from html import escape

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from service.api.problems import PROBLEMS

router = APIRouter(include_in_schema=False)
_ASSETS = "/docs/assets"


def install(app: FastAPI) -> None:
    """Add the pages and the viewer's files, which come from the locked `fastapi-swagger` package."""
    app.include_router(router)
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")


@router.get("/docs")
async def docs_page() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="convscope",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon-32x32.png",
    )


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
