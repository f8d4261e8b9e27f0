"""CEL's named formats as Kubernetes has them (apiserver `cel/library/format`): `format.dns1123Label().validate(x)`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kubelab.apiserver.builtin import names
from kubelab.apiserver.cel.overloads import Table, is_opaque, is_text, opaque
from kubelab.apiserver.schema import formats

_LOCAL: Final = re.compile(r"-\Z")
_is_format: Final = is_opaque("format")


def _starts(syntax: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The same for a name that more is put behind: it may end with a dash."""
    return lambda text: syntax(_LOCAL.sub("a", text))


def _known(name: str, sentence: str) -> Callable[[str], list[str]]:
    def check(text: str) -> list[str]:
        holds = formats.known(name)
        return [] if holds is None or holds(text) else [sentence]

    return check


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


CHECKS: Final[Mapping[str, Callable[[str], list[str]]]] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_label_1035,
    "qualifiedName": names.qualified_name,
    "dns1123LabelPrefix": _starts(names.dns_label),
    "dns1123SubdomainPrefix": _starts(names.dns_subdomain),
    "dns1035LabelPrefix": _starts(names.dns_label_1035),
    "labelValue": names.label_value,
    "uri": _known("uri", "invalid URI"),
    "uuid": _known("uuid", "does not match the UUID format"),
    "byte": _byte,
    "date": _known("date", "invalid date"),
    "datetime": _known("datetime", "invalid datetime"),
}
"""What is wrong with a text, by the name of a format."""


def table(optional: Any) -> Table:
    """Each function with its overloads; `optional` is the library's type of values that may be absent."""

    def named(name: str) -> Any:
        return optional.of(opaque("format", name)) if name in CHECKS else optional.none()

    def validate(format_: Any, text: str) -> Any:
        found = CHECKS[format_["value"]](text)
        return optional.of(found) if found else optional.none()

    constants: Table = {f"format_{name}": [((), _constant(name))] for name in CHECKS}
    return {**constants, "format_named": [((is_text,), named)], "validate": [((_is_format, is_text), validate)]}


def _constant(name: str) -> Callable[[], Any]:
    return lambda: opaque("format", name)
