"""Asks a web server again and again on new connections, and says when it did not answer.

    python -m kubelab.probe --interval 0.05 --seconds 20 http://198.51.100.100/

Requests start at their times however the ones before fare. Prints one JSON line for each request that was answered
or not (`--each`), and at the end a summary: how many, first and last failure, the longest gap between answers.
Times are seconds since the start.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Summary:
    """What came of the requests. `longest_gap_s` lies between two answers, or an answer and either end."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    first_failure_s: float | None = None
    last_failure_s: float | None = None
    longest_gap_s: float = 0.0
    gap_began_s: float = 0.0
    latency_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was sent and done, and what came back; `error` is empty for an answer."""

    sent_s: float
    done_s: float
    error: str = ""
    body: str = ""


async def ask(host: str, port: int, path: str, timeout_s: float) -> str:
    """One HTTP request on a connection of its own; gives the body.

    Raises:
        OSError, TimeoutError, ValueError: there was no answer, or none with status 200.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise ValueError(f"answer {head[:60]!r}")
    return body.decode(errors="replace").strip()


def summarise(answers: list[Answer], began_s: float, ended_s: float) -> Summary:
    """The figures of a run; `answers` in any order."""
    good = sorted(answer.done_s for answer in answers if not answer.error)
    bad = sorted(answer.sent_s for answer in answers if answer.error)
    moments = [began_s, *good, ended_s]
    gap, at = max((later - earlier, earlier) for earlier, later in itertools.pairwise(moments))
    waits = sorted(1000 * (answer.done_s - answer.sent_s) for answer in answers if not answer.error)
    latency = {
        name: round(waits[min(len(waits) - 1, int(share * len(waits)))], 2)
        for name, share in (("median", 0.5), ("p99", 0.99))
        if waits
    }
    return Summary(
        sent=len(answers),
        answered=len(good),
        failed=len(bad),
        first_failure_s=bad[0] if bad else None,
        last_failure_s=bad[-1] if bad else None,
        longest_gap_s=round(gap, 3),
        gap_began_s=round(at, 3),
        latency_ms=latency,
    )


async def probe(url: str, interval_s: float, seconds: float, timeout_s: float, *, each: bool) -> Summary:
    """Asks every `interval_s` for `seconds`; a request that takes `timeout_s` has failed."""
    parts = urlsplit(url)
    host, port, path = parts.hostname or "", parts.port or 80, parts.path or "/"
    began = time.monotonic()
    answers: list[Answer] = []

    async def one() -> None:
        sent = time.monotonic() - began
        error, body = "", ""
        try:
            body = await ask(host, port, path, timeout_s)
        except (OSError, TimeoutError, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"
        answer = Answer(round(sent, 4), round(time.monotonic() - began, 4), error, body)
        answers.append(answer)
        if each:
            print(json.dumps(asdict(answer)), flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(round(seconds / interval_s)):
            await asyncio.sleep(max(0.0, began + number * interval_s - time.monotonic()))
            group.create_task(one())
    # One that is not answered is waited for after the others: that is not a gap of its own.
    ended = max((answer.done_s if not answer.error else answer.sent_s for answer in answers), default=0.0)
    return summarise(answers, 0.0, ended)


def main() -> None:
    """Reads the command line, asks, prints the summary; exit code 1 if nothing was ever answered."""
    parser = argparse.ArgumentParser(prog="kubelab.probe", description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between requests")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to ask")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds after which a request has failed")
    parser.add_argument("--each", action="store_true", help="print each request as a JSON line")
    given = parser.parse_args()
    summary = asyncio.run(probe(given.url, given.interval, given.seconds, given.timeout, each=given.each))
    print(json.dumps(asdict(summary)), flush=True)
    sys.exit(0 if summary.answered else 1)


if __name__ == "__main__":
    main()
