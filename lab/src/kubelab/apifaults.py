"""Faults of a lab's API server: wrong answers, silence, watches that end or go quiet; asked for as administrator."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from kubelab import faults, kubeconfig
from kubelab.apiserver.injected import PATH, Injected
from kubelab.engines import API_PORT
from kubelab.faults import Fault, FaultError, Scene

_TIMEOUT_S: Final = 5.0
_OK: Final = 200
_REAL: Final = "a real API server takes no orders to answer wrongly: that is the embedded engine's"


def put(scene: Scene, injected: Injected | None) -> None:
    """Have the API server answer wrongly from now on; None ends that. Replaces what was in force.

    Raises:
        FaultError: it can't be asked, or is a real one.
    """
    if scene.record.engine == "real":
        raise FaultError(f"{_REAL}; it can be killed or paused, and its connections reset (fault reset)")
    _ask(scene, "PUT", PATH, msgspec.json.encode(injected))


def end_watches(scene: Scene, how: Literal["close", "compact"]) -> None:
    """End all watches; `compact`: the past is forgotten too, so that those who resume are told to list again (410).

    With a real API server all connections end.

    Raises:
        FaultError: the API server can't be asked, or is a real one, which keeps its past.
    """
    if scene.record.engine == "real":
        if how == "compact":
            raise FaultError(f"{_REAL}; kill and start it: its past begins anew with it")
        faults.reset(scene, scene.cluster.control_node.name, API_PORT)
        return
    _ask(scene, "POST", f"/debug/watches/{how}")


def in_force(scene: Scene) -> Iterator[Fault]:
    """The fault in force; none of a server that doesn't answer, whose state `status` tells, or of a real one."""
    if scene.record.engine == "real":
        return
    try:
        found = msgspec.json.decode(_ask(scene, "GET", PATH), type=dict[str, Injected | None])["fault"]
    except (FaultError, msgspec.MsgspecError, KeyError):
        return
    if found is not None:
        yield Fault("api", "apiserver", describe(found))


def describe(injected: Injected) -> str:
    """A fault in words."""
    answer = injected.answer if injected.answer in {"silence", "quiet-watches"} else f"answers {injected.answer}"
    share = "" if injected.share == 1 else f" to {injected.share:.4%} of requests"
    parts = [("of", injected.user), ("verbs", ", ".join(injected.verbs)), ("on", ", ".join(injected.resources))]
    return answer + share + "".join(f" {word} {what}" for word, what in parts if what)


def _ask(scene: Scene, method: str, path: str, body: bytes = b"") -> bytes:
    """One request as the administrator; the body of the answer."""
    connection = kubeconfig.load(scene.layout.kubeconfig)
    where = urllib.parse.urlsplit(connection.server)
    if where.hostname is None:
        raise FaultError(f"the API server's address {connection.server!r} can't be used")
    asked = http.client.HTTPSConnection(
        where.hostname, where.port, timeout=_TIMEOUT_S, context=kubeconfig.tls(connection)
    )
    try:
        asked.request(method, path, body or None, {"Content-Type": "application/json"})
        answer = asked.getresponse()
        text = answer.read()
    except OSError as error:
        raise FaultError(f"the API server can't be asked: {error}; is it paused or killed?") from error
    except http.client.HTTPException as error:
        raise FaultError(f"the API server's answer can't be read: {error!r}") from error
    finally:
        asked.close()
    if answer.status != _OK:
        raise FaultError(f"the API server refuses the fault: {text.decode(errors='replace').strip()}")
    return text
