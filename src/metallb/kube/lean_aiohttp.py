"""aiohttp without what no daemon needs: its application framework, and the system's certificates.

It reads those when it is imported: 2 MiB, and nobody here trusts them. Every request of ours says whom to trust
(`credentials.Tls`); one that forgot to would trust nobody.
"""

from __future__ import annotations

import ssl

_load = ssl.SSLContext.load_default_certs
ssl.SSLContext.load_default_certs = lambda *_: None  # type: ignore[method-assign]  # as long as the import
try:
    import aiohttp
    from aiohttp.web_request import BaseRequest  # `aiohttp.web` is all of it: routes, files, websockets
    from aiohttp.web_response import Response, StreamResponse
    from aiohttp.web_server import Server
finally:
    ssl.SSLContext.load_default_certs = _load  # type: ignore[method-assign]

__all__ = ["BaseRequest", "Response", "Server", "StreamResponse", "aiohttp"]
