"""Command lines as Go's `flag` package reads them, so that upstream's manifests work unchanged. Pure.

`-port=9120`, `--port=9120`, `-port 9120`, `--webhook-http2`, `--webhook-http2=false`: the click parser wants `--` and
no value for switches; here both are written so that it understands.
Source: pkg.go.dev/flag, "Command line flag syntax".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def normalise(arguments: Sequence[str], switches: Collection[str]) -> list[str]:
    """The arguments with `--name=value` throughout; `switches` are the names that need no value.

    Everything after `--` or the first argument that is no flag stays as it is.
    """
    result: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in {"-", "--"} or not argument.startswith("-"):
            return [*result, argument, *rest]
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("---") or not name:
            return [*result, argument, *rest]
        if equals:
            result.append(f"--{name}={value}")
        elif name in switches:
            result.append(f"--{name}=true")
        elif name in {"h", "help"}:
            result.append("--help")
        elif rest:
            result.append(f"--{name}={rest.pop(0)}")
        else:
            result.append(f"--{name}")
    return result


def truth(text: str) -> bool:
    """A boolean as Go's strconv.ParseBool reads it.

    Raises:
        ValueError: anything else.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{text!r} is no boolean: want true or false")
