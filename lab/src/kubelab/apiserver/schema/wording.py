"""Field errors as kube-apiserver words them: Go's way to show a value, one constructor a type of error.

Source: apimachinery `util/validation/field`; `fmt`'s `%v` and `%q`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Final

from kubelab.apiserver.errors import FieldError
from kubelab.objects import Json

NOWHERE: Final = "<nil>"
"""How an error names the object as a whole."""

_EXPONENT_FROM: Final = 21
_EXPONENT_BELOW: Final = -4
_EXPONENT_DIGITS: Final = 2


def number(value: float) -> str:
    """A number as `%v` prints it: the shortest digits that read back the same, with an exponent from 1e21 on."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    sign, digits, exponent = _digits(value)
    if digits == "0":
        return sign + "0"
    if exponent < _EXPONENT_BELOW or exponent >= _EXPONENT_FROM:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{exponent:+0{_EXPONENT_DIGITS + 1}d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}.{digits[exponent + 1 :]}" if len(digits) > exponent + 1 else sign + whole


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, significant digits and the decimal exponent of the first one."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    digits = digits.rstrip("0") or "0"
    return sign, digits, len(whole) - 1 - leading + int(exponent or 0)


def quoted(value: str) -> str:
    """A string as `%q` prints it."""
    return json.dumps(value, ensure_ascii=False)


def shown(value: Json) -> str:
    """A value as the server shows it in a message: JSON with sorted keys for all but numbers."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return number(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def required(field: str, detail: str = "") -> FieldError:
    """The field must have a value."""
    text = f"Required value: {detail}" if detail else "Required value"
    return FieldError(field or NOWHERE, "FieldValueRequired", text)


def invalid(field: str, value: Json, detail: str) -> FieldError:
    """The value breaks a rule."""
    return FieldError(field or NOWHERE, "FieldValueInvalid", f"Invalid value: {shown(value)}: {detail}")


def type_invalid(field: str, value: Json, detail: str) -> FieldError:
    """The value is of a wrong type or format."""
    return FieldError(field or NOWHERE, "FieldValueTypeInvalid", f"Invalid value: {shown(value)}: {detail}")


def unsupported(field: str, value: Json, supported: Iterable[str]) -> FieldError:
    """The value is none of a closed list; the list is shown in the order given."""
    values = ", ".join(quoted(one) for one in supported)
    return FieldError(
        field or NOWHERE, "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {values}"
    )


def duplicate(field: str, value: Json) -> FieldError:
    """The value stands in the list already."""
    return FieldError(field or NOWHERE, "FieldValueDuplicate", f"Duplicate value: {shown(value)}")


def forbidden(field: str, detail: str) -> FieldError:
    """The field may not be set here."""
    return FieldError(field or NOWHERE, "FieldValueForbidden", f"Forbidden: {detail}")


def too_long(field: str, limit: int) -> FieldError:
    """The text has more characters than allowed."""
    return FieldError(field or NOWHERE, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def too_many(field: str, count: int, limit: int) -> FieldError:
    """The list or map has more entries than allowed."""
    items = "item" if limit == 1 else "items"
    return FieldError(field or NOWHERE, "FieldValueTooMany", f"Too many: {count}: must have at most {limit} {items}")
