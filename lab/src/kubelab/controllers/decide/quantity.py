"""Resource quantities and percentages (API reference: Quantity, IntOrString)."""

from __future__ import annotations

import re
from decimal import Decimal
from math import ceil, floor

_FORM = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[A-Za-z]{0,2})")
_SCALE = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def parse(quantity: str | float) -> Decimal:
    """The number that a quantity such as `100m` or `4Gi` stands for.

    Raises:
        ValueError: it is no quantity.
    """
    found = _FORM.fullmatch(str(quantity))
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, unit = Decimal(found[1]), found[2]
    if unit[:1] in {"e", "E"} and len(unit) > 1 and unit != "Ei":
        return number * Decimal(f"1{unit}")
    if unit not in _SCALE:
        raise ValueError(f"{quantity!r} is no quantity")
    return number * _SCALE[unit]


def share(value: int | str | None, total: int, *, up: bool) -> int:
    """A number, or a percentage of `total` rounded up or down; nothing for what is neither."""
    if value is None:
        return 0
    text = str(value)
    if text.endswith("%"):
        exact = Decimal(text[:-1]) * total / 100
        return ceil(exact) if up else floor(exact)
    return int(text)
