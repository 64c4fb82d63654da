"""The phone's web page: the files that Vite built."""

import os
import stat
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

HASHED: Final = "public, max-age=31536000, immutable"
"""The name changes with the content."""
FRESH: Final = "no-cache"
"""Asked again each time, answered by 304 while it is the same."""
_MISSING: Final = (
    "The web page is not built. Run `make setup` in the project's folder, or set WEB_DIR to a built one.\n"
)


class WebFiles(StaticFiles):
    """Static files; those in `assets/` are cached for ever."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """As the base class, with a cache rule."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_hashed = Path(full_path).parent.name == "assets" and stat.S_ISREG(stat_result.st_mode)
        response.headers["Cache-Control"] = HASHED if is_hashed else FRESH
        return response


def web_app(directory: Path) -> ASGIApp:
    """The application for every path that is not the API's."""
    is_built = (directory / "index.html").is_file()
    files = WebFiles(directory=directory, html=True, check_dir=False)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})  # before accept: answered with 403
        elif is_built:
            await files(scope, receive, send)
        elif scope["path"] in ("/", "/index.html"):
            await PlainTextResponse(_MISSING, 404)(scope, receive, send)
        else:
            raise HTTPException(404)

    return serve
