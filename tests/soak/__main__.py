"""Runs for minutes what the tests do for seconds.

    python -m tests.soak                        everything, 10 minutes each
    python -m tests.soak --minutes 60 members   one piece, an hour

Progress goes to standard error; each piece prints one line of JSON. Exit code 1: something is not as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import sys
import time
import traceback

from tests.soak import chaos, failover, fuzz, members, updown
from tests.soak.result import Piece, Result, say

PIECES: dict[str, Piece] = {
    "failover": failover.run,
    "members": members.run,
    "chaos": chaos.run,
    "updown": updown.run,
    "fuzz": fuzz.run,
}


def run(name: str, minutes: float) -> bool:
    say(f"{name}: {minutes:g} minutes")
    began = time.monotonic()
    try:
        found = PIECES[name](minutes)
        result = asyncio.run(found) if inspect.iscoroutine(found) else found
        assert isinstance(result, Result)
    except Exception:  # noqa: BLE001  # the other pieces run all the same
        result = Result(problems=[traceback.format_exc(limit=-3)])
    line = {"soak": name, "ok": not result.problems, **result.figures, "problems": result.problems}
    machine = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({**line, "seconds": round(time.monotonic() - began), "machine": machine}), flush=True)
    return not result.problems


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}; none: all")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each piece")
    given = parser.parse_args()
    unknown = sorted(set(given.pieces) - PIECES.keys())
    if unknown:
        parser.error(f"no such piece: {', '.join(unknown)}; there are {', '.join(PIECES)}")
    if not 0 < given.minutes <= 24 * 60:
        parser.error(f"--minutes {given.minutes:g}: want more than 0, at most a day")
    good = [run(name, given.minutes) for name in given.pieces or PIECES]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
