"""How Go prints a patch that is quoted in an error (`%+v`): `map[spec:map[a:1 b:[x y]]]`."""

from __future__ import annotations

from kubelab.objects import Json


def printed(value: Json) -> str:
    """A JSON value as Go prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{printed(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(printed(part) for part in value) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
