"""CEL's functions of resource quantities as Kubernetes has them (apiserver `cel/library/quantity`)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from kubelab.apiserver.builtin import quantities
from kubelab.apiserver.cel.overloads import Table, is_opaque, is_text, is_whole, opaque

_MAX_LENGTH: Final = 64
"""Characters of the longest quantity that is read: `1e999999999` is a number nobody should write out."""
_LARGEST: Final = Fraction(10) ** 40
_is_quantity: Final = is_opaque("quantity")


def _parsed(text: str) -> Fraction:
    exponent = text.lower().rpartition("e")[2].lstrip("+-")
    if len(text) > _MAX_LENGTH or (exponent.isdigit() and len(exponent) > 2 and "e" in text.lower()):  # noqa: PLR2004
        raise ValueError("unable to parse quantity's suffix")
    return quantities.parse(text)


def _quantity(number: Fraction) -> dict[str, Any]:
    if abs(number) > _LARGEST:
        raise ValueError("quantity is out of range")
    return opaque("quantity", str(number))


def _number(value: Any) -> Fraction:
    return Fraction(value) if isinstance(value, int) else Fraction(value["value"])


def _is(text: str) -> bool:
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


def _is_integer(value: Any) -> bool:
    number = _number(value)
    return number.denominator == 1 and -(2**63) <= number < 2**63


def _as_integer(value: Any) -> int:
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(_number(value))


def _sign(value: Any) -> int:
    number = _number(value)
    return (number > 0) - (number < 0)


def _compare(one: Any, other: Any) -> int:
    return (_number(one) > _number(other)) - (_number(one) < _number(other))


_TWO: Final = (_is_quantity, _is_quantity)
_WITH_WHOLE: Final = (_is_quantity, is_whole)

TABLE: Final[Table] = {
    "isQuantity": [((is_text,), _is)],
    "quantity": [((is_text,), lambda text: _quantity(_parsed(text)))],
    "sign": [((_is_quantity,), _sign)],
    "isInteger": [((_is_quantity,), _is_integer)],
    "asInteger": [((_is_quantity,), _as_integer)],
    "asApproximateFloat": [((_is_quantity,), lambda value: float(_number(value)))],
    "add": [
        (_TWO, lambda one, other: _quantity(_number(one) + _number(other))),
        (_WITH_WHOLE, lambda one, other: _quantity(_number(one) + other)),
    ],
    "sub": [
        (_TWO, lambda one, other: _quantity(_number(one) - _number(other))),
        (_WITH_WHOLE, lambda one, other: _quantity(_number(one) - other)),
    ],
    "isGreaterThan": [(_TWO, lambda one, other: _compare(one, other) > 0)],
    "isLessThan": [(_TWO, lambda one, other: _compare(one, other) < 0)],
    "compareTo": [(_TWO, _compare)],
}
"""Each function with its overloads."""
