"""Least privilege: nobody grants rights or acts for others, and who listens where.

Rights that are missing, and those that nobody uses, are looked for at the end of a run, in all labs (`tests/rights.py`).
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.rights import ACCOUNTS, granted

NAMESPACE = "metallb-system"
pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_no_process_may_grant_rights_or_act_for_others(account: str) -> None:
    forbidden = {"escalate", "bind", "impersonate", "*"}
    for each in granted()[account]:
        assert each.verb not in forbidden
        assert "*" not in f"{each.group}/{each.resource}"
        assert each.group != "rbac.authorization.k8s.io"


LISTENS: dict[str, set[str]] = {
    "metallb-operator-controller-manager": {"tcp *:8080", "tcp *:9443"},
    "metallb-operator-webhook-server": {"tcp *:9120", "tcp *:9443", "tcp *:17472"},
    "controller": {"tcp *:9120", "tcp *:17472"},
    "speaker": {
        *("tcp *:9120", "tcp 127.0.0.1:17472", "tcp NODE:7946", "udp NODE:7946"),
        *("responder [2054]:eth0", "responder [34525]:eth0"),
    },
}
"""Probes, metrics and webhooks over TLS, gossip on the node's address; the responder's are ARP and IPv6 frames."""

_LINE = re.compile(r"(?P<kind>\w+)\s.*?\s(?P<host>\S+):(?P<port>\w+)\s.*?pid=")
_PID = re.compile(r"pid=(\d+)")
_ASKED_FOR = (["ss", "-Hlntupw"], ["ss", "-Hnp", "-0"], ["ss", "-Hlxp"])
"""TCP, UDP and raw sockets; packet sockets; listening Unix sockets. Those of others have no process here."""


async def listening(cluster: Any, pod: dict[str, Any]) -> set[str]:
    """The sockets of a pod's processes, as `tcp ADDRESS:PORT`; `*` is every address."""
    place = f"pod/{NAMESPACE}/{pod['metadata']['name']}"
    texts = [(await cluster.lab.run(place, argv)).stdout for argv in _ASKED_FOR]
    lines = [line for text in texts for line in text.splitlines() if "pid=" in line]
    answering = {pid for line in lines if line.startswith("p_") for pid in _PID.findall(line)}
    found, held = set(), set()
    for line in lines:
        read = _LINE.match(line)
        assert read is not None, line
        packets = read["kind"].startswith("p_")
        host = "*" if read["host"] in {"0.0.0.0", "[::]", "*"} else read["host"]  # noqa: S104  # compared, not bound
        host = "NODE" if host == pod["status"]["hostIP"] else host
        socket = f"{'responder' if packets else read['kind']} {host}:{read['port']}"
        found.add(socket)
        if not packets and not answering.isdisjoint(_PID.findall(line)):
            held.add(socket)
    assert held <= {"udp NODE:7946"}, "the responder is a process of its own, which may tell others that it lives"
    return found


async def test_every_process_listens_where_it_should_and_nowhere_else(cluster: Any) -> None:
    async def all_listen() -> bool:
        """One that starts opens a socket after the other."""
        seen.clear()
        for pod in await cluster.items("pods", NAMESPACE):
            kind = next(each for each in LISTENS if pod["metadata"]["name"].startswith(f"{each}-"))
            seen.setdefault(kind, set()).update(await listening(cluster, pod))
        return seen == LISTENS

    seen: dict[str, set[str]] = {}
    try:
        await cluster.until(all_listen, "the sockets of all")
    finally:
        assert seen == LISTENS


ANSWERS = {
    "8080": {"http /healthz": "ok 200", "http /": "not found 404", "http /metrics": "not found 404"},
    "17472": {"http /healthz": "ok 200", "http /": "not found 404", "http /metrics": "not found 404"},
    "9120": {"http /metrics": " 000", "https /metrics": "unauthorized 401", "https /": "unauthorized 401"},
    "9443": {"http /": " 000", "https /": "no webhook here 404"},
    "7946": {"http /": " 000", "https /": " 000"},
}
"""By port, what somebody without rights is answered: text and status, 000 where no HTTP comes back."""


async def test_strangers_are_answered_a_word_or_nothing(cluster: Any) -> None:
    pods = {}
    for pod in await cluster.items("pods", NAMESPACE):
        pods[next(each for each in LISTENS if pod["metadata"]["name"].startswith(f"{each}-"))] = pod
    for kind, pod in pods.items():
        place = f"pod/{NAMESPACE}/{pod['metadata']['name']}"
        for socket in (each for each in LISTENS[kind] if each.startswith("tcp ")):
            host, _, port = socket.removeprefix("tcp ").rpartition(":")
            address = "127.0.0.1" if host in {"*", "127.0.0.1"} else pod["status"]["hostIP"]
            for request, answer in ANSWERS[port].items():
                scheme, path = request.split()
                argv = ["curl", "-sk", "--max-time", "5", "-w", " %{http_code}", f"{scheme}://{address}:{port}{path}"]

                async def is_so(place: str = place, argv: list[str] = argv, answer: str = answer) -> bool:
                    return bool((await cluster.lab.run(place, argv, check=False)).stdout == answer)

                await cluster.until(is_so, f"{answer!r} of {kind}, {port}, to {request}")
