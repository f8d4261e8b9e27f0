"""Formats of strings, as kube-apiserver checks them in custom resources (kube-openapi `strfmt`).

Names are compared without dashes, so that `date-time` is `datetime`. Other formats are not checked.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from email.utils import parseaddr
from typing import Final

_UNITS: Final = {
    "ns": ("ns", "nano"),
    "us": ("us", "µs", "micro"),
    "ms": ("ms", "milli"),
    "s": ("s", "sec"),
    "m": ("m", "min"),
    "h": ("h", "hr", "hour"),
    "d": ("d", "day"),
    "w": ("w", "wk", "week"),
}
_GO_DURATION: Final = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_SPOKEN_DURATION: Final = re.compile(r"([0-9]+)\s*([A-Za-zµ]+)")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})")
_OCTET: Final = re.compile(r"0*([0-9]{1,3})")
_SHORT_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_HOST_LABEL: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_HEX: Final = "[0-9a-fA-F]"
_MAC: Final = re.compile(rf"{_HEX}{{2}}([:-])(?:{_HEX}{{2}}\1){{4,18}}{_HEX}{{2}}|(?:{_HEX}{{4}}\.){{2,9}}{_HEX}{{4}}")
_MAC_BYTES: Final = {6, 8, 20}
_URI_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S*")
_ISBN10: Final = re.compile(r"[0-9]{9}[0-9X]")
_ISBN13: Final = re.compile(r"[0-9]{13}")
_LONG_NAME_LENGTH: Final = 253
_SHORT_NAME_LENGTH: Final = 63
_HOST_LENGTH: Final = 255
_LAST_HOUR: Final = "23"
_LAST_MINUTE: Final = "59"


def _like(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _octet(text: str) -> str | None:
    """An octet of an IPv4 address; leading zeros are decimal, as the API server has always read them."""
    found = _OCTET.fullmatch(text)
    return found[1] if found else None


def _sloppy_ipv4(text: str) -> str | None:
    octets = [_octet(part) for part in text.split(".")]
    if any(octet is None for octet in octets):
        return None
    plain = ".".join(octet or "" for octet in octets)
    return plain if _is_address(plain) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_ipv4(text: str) -> bool:
    """An address with dots: also an IPv4 address in IPv6 notation, as Go's parser and a look for a dot have it."""
    return "." in text and (_sloppy_ipv4(text) is not None or (":" in text and _is_address(text)))


def is_ipv6(text: str) -> bool:
    """An address with colons."""
    return ":" in text and _is_address(text)


def is_cidr(text: str) -> bool:
    """An address, a slash and the length of a prefix that the address has bits for."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit():
        return False
    if ":" in address:
        return _is_address(address) and int(length) <= ipaddress.IPV6LENGTH
    return _sloppy_ipv4(address) is not None and int(length) <= ipaddress.IPV4LENGTH


def is_duration(text: str) -> bool:
    """A duration of Go (`1h30m`), or numbers with a unit in words (`3 days`)."""
    if _GO_DURATION.fullmatch(text):
        return True
    return any(_is_unit(unit.lower()) for _, unit in _SPOKEN_DURATION.findall(text))


def _is_unit(unit: str) -> bool:
    return any(unit in names or unit.startswith(names[-1]) for names in _UNITS.values())


def is_date(text: str) -> bool:
    """A full date of RFC 3339, and one that the calendar has."""
    if not _DATE.fullmatch(text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return text.startswith("0000-") and is_date("2000" + text[4:])
    return True


def is_date_time(text: str) -> bool:
    """A date-time of RFC 3339."""
    date, separator, rest = text.lower().partition("t")
    if not separator or not is_date(date):
        return False
    found = _TIME.fullmatch(rest)
    return found is not None and found[1] <= _LAST_HOUR and max(found[2], found[3]) <= _LAST_MINUTE


def is_base64(text: str) -> bool:
    """Base64 of at least one byte, with its padding."""
    try:
        return bool(text) and bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def is_hostname(text: str) -> bool:
    """Labels of RFC 1034, joined by dots."""
    return len(text) <= _HOST_LENGTH and all(_HOST_LABEL.fullmatch(label) for label in text.split("."))


def is_email(text: str) -> bool:
    """An address of RFC 5322, with or without a display name."""
    _, address = parseaddr(text)
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and " " not in address


def is_mac(text: str) -> bool:
    """A hardware address of 6, 8 or 20 bytes with colons, dashes or dots."""
    return _MAC.fullmatch(text) is not None and sum(one.isalnum() for one in text) // 2 in _MAC_BYTES


def is_uri(text: str) -> bool:
    """A request URI: absolute, or a path from the root."""
    return text.startswith("/") or _URI_SCHEME.fullmatch(text) is not None


def _isbn10(text: str) -> bool:
    plain = text.replace("-", "").replace(" ", "")
    if not _ISBN10.fullmatch(plain):
        return False
    return sum((10 - at) * (10 if one == "X" else int(one)) for at, one in enumerate(plain)) % 11 == 0


def _isbn13(text: str) -> bool:
    plain = text.replace("-", "").replace(" ", "")
    return (
        _ISBN13.fullmatch(plain) is not None
        and sum(int(one) * (1, 3)[at % 2] for at, one in enumerate(plain)) % 10 == 0
    )


def _is_card(text: str) -> bool:
    digits = [int(one) for one in text if one.isascii() and one.isdigit()]
    doubled = [one if at % 2 == 0 else sum(divmod(one * 2, 10)) for at, one in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 16 and sum(doubled) % 10 == 0  # noqa: PLR2004  # lengths of card numbers


def is_short_name(text: str) -> bool:
    """A label of RFC 1123 in lower case."""
    return len(text) <= _SHORT_NAME_LENGTH and _SHORT_NAME.fullmatch(text) is not None


def is_long_name(text: str) -> bool:
    """A subdomain of RFC 1123 in lower case."""
    return len(text) <= _LONG_NAME_LENGTH and all(_SHORT_NAME.fullmatch(label) for label in text.split("."))


_BYTE: Final = r"(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"
CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "bsonobjectid": _like(f"{_HEX}{{24}}"),
    "byte": is_base64,
    "cidr": is_cidr,
    "creditcard": _is_card,
    "date": is_date,
    "datetime": is_date_time,
    "duration": is_duration,
    "email": is_email,
    "hexcolor": _like(f"#?(?:{_HEX}{{3}}|{_HEX}{{6}})"),
    "hostname": is_hostname,
    "ipv4": is_ipv4,
    "ipv6": is_ipv6,
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "k8slongname": is_long_name,
    "k8sshortname": is_short_name,
    "mac": is_mac,
    "password": lambda _: True,
    "rgbcolor": _like(rf"rgb\(\s*{_BYTE}(?:\s*,\s*{_BYTE}){{2}}\s*\)"),
    "ssn": _like(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": is_uri,
    "uuid": _like(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid3": _like(f"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid4": _like(f"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "uuid5": _like(f"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
}
"""The formats that are checked, each with its check."""


def known(name: str) -> Callable[[str], bool] | None:
    """The check of a format; None where nothing is checked."""
    return CHECKS.get(name.replace("-", "")) if name else None
