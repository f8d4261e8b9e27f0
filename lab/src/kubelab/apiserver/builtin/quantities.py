"""Resource quantities: `200m`, `1.5Gi`, `1e3` as exact numbers, and as the server writes them (canonical form)."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_SHAPE: Final = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d+)?")
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def parse(quantity: str | float) -> Fraction:
    """The number a quantity stands for.

    Raises:
        ValueError: it is not a quantity.
    """
    match = _SHAPE.fullmatch(str(quantity))
    if match is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    sign, digits, suffix = match.group(1), match.group(2), match.group(3) or ""
    number = Fraction(digits.rstrip(".") if digits.endswith(".") else digits)
    if suffix in _BINARY:
        number *= 1 << _BINARY[suffix]
    elif suffix in _DECIMAL:
        number *= Fraction(10) ** _DECIMAL[suffix]
    else:
        number *= Fraction(10) ** int(suffix[1:])
    return -number if sign == "-" else number


def canonical(quantity: str | float) -> str:
    """A quantity as the server stores it: no fraction, the largest suffix that allows that.

    Raises:
        ValueError: it is not a quantity.
    """
    text = str(quantity)
    number = parse(text)
    if text.endswith("i"):
        return _binary(number)
    if re.search(r"[eE][+-]?\d", text):
        return _with_exponent(number)
    return _decimal(number)


def _decimal(number: Fraction) -> str:
    mantissa, exponent = _stripped(number)
    suffix = next(suffix for suffix, power in _DECIMAL.items() if power == exponent)
    return f"{mantissa}{suffix}"


def _with_exponent(number: Fraction) -> str:
    mantissa, exponent = _stripped(number)
    return f"{mantissa}e{exponent}" if exponent else str(mantissa)


def _stripped(number: Fraction) -> tuple[int, int]:
    """Mantissa and exponent, a multiple of three; what is finer than 1e-9 is rounded away from zero."""
    scaled = number * 10**9
    whole = -((-scaled.numerator) // scaled.denominator) if number > 0 else scaled.numerator // scaled.denominator
    exponent = -9
    while whole and whole % 1000 == 0 and exponent < 18:  # noqa: PLR2004  # the largest suffix is E
        whole //= 1000
        exponent += 3
    return whole, exponent if whole else 0


def _binary(number: Fraction) -> str:
    if number.denominator != 1:
        return _decimal(number)
    whole = int(number)
    for suffix, shift in reversed(_BINARY.items()):
        if whole and whole % (1 << shift) == 0:
            return f"{whole >> shift}{suffix}"
    return str(whole)
