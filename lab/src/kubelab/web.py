"""A web server for tests: answers every request with who it is and who asked, as one JSON line.

`POD_NAME` and `NODE_NAME` come from the environment (the downward API). `/slow/<seconds>` answers late.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from aiohttp import web

DEFAULT_PORT = 8080


async def answer(request: web.Request) -> web.Response:
    """Who answers, and from which address the question came as seen here."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if request.path.startswith("/slow/"):
        await asyncio.sleep(min(float(request.path.removeprefix("/slow/")), 60.0))
    body = {
        "pod": os.environ.get("POD_NAME", ""),
        "node": os.environ.get("NODE_NAME", ""),
        "client": peer[0] if peer else "",
    }
    return web.Response(text=json.dumps(body) + "\n", content_type="application/json")


def main() -> None:
    """Serves until it is told to end."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT
    web.run_app(app, host=None, port=port, print=None, access_log=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
