"""``/docs``: Swagger UI on ``/openapi.json``, every byte of it from this machine, open to browsers without a key.

The script and the style sheet come with the package ``fastapi-offline``; only its files are used, not its code.
Nothing is asked of the network: no CDN, no icon of elsewhere, no validator. The *Authorize* button takes an API key.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

__all__ = ["DOCS_PATHS"]

router = APIRouter(include_in_schema=False)

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
#: Every address that the page needs but for ``/openapi.json``.
DOCS_PATHS = ("/docs", *(f"/docs/{name}" for name in _ASSETS))
#: A drawn dot: browsers ask for an icon, and FastAPI's default lies elsewhere.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Ccircle cx='4' cy='4' r='4' fill='%23346'/%3E%3C/svg%3E"
)


@router.get("/docs", response_class=HTMLResponse)
def page() -> HTMLResponse:
    """The interactive description of the API."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Malmoi",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url=_ICON,
        swagger_ui_parameters={"validatorUrl": None},
    )


@router.get("/docs/swagger-ui-bundle.js")
def script() -> Response:
    """Swagger UI."""
    return _asset("swagger-ui-bundle.js")


@router.get("/docs/swagger-ui.css")
def style() -> Response:
    """Its style sheet."""
    return _asset("swagger-ui.css")


def _asset(name: str) -> Response:
    data = files("fastapi_offline").joinpath("static", name).read_bytes()
    return Response(data, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})
