"""A webhook in a pod: refuses ConfigMaps that say so, and turns sizes of towers into heights.

`python webhook.py FOLDER PORT`: the folder holds tls.crt and tls.key.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def judged(request: dict[str, Any]) -> dict[str, Any]:
    refused = "refuse" in (request["object"].get("data") or {})
    return {"uid": request["uid"], "allowed": not refused, "status": {"message": f"{os.uname().nodename} says no"}}


def converted(request: dict[str, Any]) -> dict[str, Any]:
    wanted = request["desiredAPIVersion"]
    name = "height" if wanted.endswith("/v2") else "size"
    objects = [
        {**one, "apiVersion": wanted, "spec": dict.fromkeys([name], *one["spec"].values())}
        for one in request["objects"]
    ]
    return {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = judged if review["kind"] == "AdmissionReview" else converted
        review["response"] = answer(review.pop("request"))
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(folder: Path, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server = ThreadingHTTPServer(("", port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
