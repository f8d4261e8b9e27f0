"""Stands in for a component of the lab: checks its configuration, says `ready`, serves what little the tests ask.

component.py [--die-early] [--mute] [--stubborn] CONFIG.json
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path


def serve(listener: socket.socket) -> None:
    """Answer every connection with one line."""
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"stub\n")
        connection.close()


def main() -> None:
    options, config = sys.argv[1:-1], json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    if "--die-early" in options:
        sys.exit("no luck today")
    listeners = [socket.socket(fileno=descriptor) for descriptor in config.get("listen_fds", [])]
    for endpoint in config.get("listen", []):
        host, _, port = endpoint.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind((host.strip("[]"), int(port)))
        listener.listen()
        listeners.append(listener)
    for listener in listeners:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    if "node" in config:
        # An orphan that init has to reap, and a pod.
        subprocess.run(["sh", "-c", "sleep 0.01 &"], check=True)
        pod = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        folder = Path(config["state_dir"], "pods", config["node"], f"default_web-{config['node']}_u1")
        folder.mkdir(parents=True)
        (folder / "main.json").write_text(json.dumps({"pid": pod.pid}), encoding="utf-8")
    print("starting", flush=True)
    if "--mute" not in options:
        print("ready", flush=True)
    signals = {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.sigwait(signals)
    if "--stubborn" in options:
        signal.sigwait(signals)
    print("ending", flush=True)


main()
