"""Syntax of names, labels, ports and addresses, with the sentences that refuse them (apimachinery `validation`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.errors import FieldError

Syntax: TypeAlias = Callable[[str], list[str]]
"""What is wrong with a text, as sentences; an empty list when nothing is."""

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_label = re.compile(_LABEL).fullmatch
_subdomain = re.compile(_SUBDOMAIN).fullmatch
_label_1035 = re.compile(_LABEL_1035).fullmatch
_qualified = re.compile(_QUALIFIED).fullmatch
_label_value = re.compile(f"({_QUALIFIED})?").fullmatch
_port_name = re.compile("[-a-z0-9]+").fullmatch
_config_key = re.compile(r"[-._a-zA-Z0-9]+").fullmatch

NOT_AN_ADDRESS: Final = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_CIDR: Final = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
PORT_RANGE: Final = "must be between 1 and 65535, inclusive"
NOT_NEGATIVE: Final = "must be greater than or equal to 0"


def _longer(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(text) > limit else []


def _examples(sentence: str, regex: str, *examples: str) -> str:
    # The real server leaves two spaces before the second "or" of its examples.
    shown = "".join(f"'{one}', " if number == 0 else f" or '{one}', " for number, one in enumerate(examples))
    return f"{sentence} (e.g. {shown}regex used for validation is '{regex}')"


@lru_cache(maxsize=4096)
def _label_errors(text: str) -> tuple[str, ...]:
    errors = _longer(text, 63)
    if not _label(text):
        errors.append(
            _examples(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-',"
                " and must start and end with an alphanumeric character",
                _LABEL,
                "my-name",
                "123-abc",
            )
        )
    return tuple(errors)


@lru_cache(maxsize=4096)
def _subdomain_errors(text: str) -> tuple[str, ...]:
    errors = _longer(text, 253)
    if not _subdomain(text):
        errors.append(
            _examples(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
                " and must start and end with an alphanumeric character",
                _SUBDOMAIN,
                "example.com",
            )
        )
    return tuple(errors)


def dns_label(text: str) -> list[str]:
    """RFC 1123 label: names of services, namespaces, containers."""
    return list(_label_errors(text))


def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain: the names of most objects."""
    return list(_subdomain_errors(text))


def dns_label_1035(text: str) -> list[str]:
    """RFC 1035 label."""
    errors = _longer(text, 63)
    if not _label_1035(text):
        errors.append(
            _examples(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
                " alphabetic character, and end with an alphanumeric character",
                _LABEL_1035,
                "my-name",
                "abc-123",
            )
        )
    return errors


def path_segment(text: str) -> list[str]:
    """Names of RBAC objects: anything that is one segment of a path."""
    if text in {".", ".."}:
        return [f"may not be '{text}'"]
    return [f"may not contain '{sign}'" for sign in "/%" if sign in text]


def qualified_name(text: str) -> list[str]:
    """A key of labels, annotations and taints: `prefix/name`, the prefix being optional."""
    prefix, slash, name = text.rpartition("/")
    if slash and "/" in prefix:
        return [
            "a valid label key "
            + _examples(
                "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
                " alphanumeric character",
                _QUALIFIED,
                "MyName",
                "my.name",
                "123-abc",
            )
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    errors: list[str] = []
    if slash:
        errors += (
            ["prefix part must be non-empty"] if not prefix else [f"prefix part {e}" for e in dns_subdomain(prefix)]
        )
    if not name:
        return [*errors, "name part must be non-empty"]
    errors += [f"name part {error}" for error in _longer(name, 63)]
    if not _qualified(name):
        errors.append(
            "name part "
            + _examples(
                "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
                " alphanumeric character",
                _QUALIFIED,
                "MyName",
                "my.name",
                "123-abc",
            )
        )
    return errors


def label_value(text: str) -> list[str]:
    """The value of a label."""
    errors = _longer(text, 63)
    if not _label_value(text):
        errors.append(
            _examples(
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
                " start and end with an alphanumeric character",
                f"({_QUALIFIED})?",
                "MyValue",
                "my_value",
                "12345",
            )
        )
    return errors


def port_name(text: str) -> list[str]:
    """The name of a container port (RFC 6335 service name)."""
    errors = [] if len(text) <= 15 else ["must be no more than 15 characters"]  # noqa: PLR2004  # RFC 6335 5.1
    if not _port_name(text):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= sign <= "z" for sign in text):
        errors.append("must contain at least one letter (a-z)")
    if "--" in text:
        errors.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    if len(text) > 253:  # noqa: PLR2004  # as long as a DNS subdomain
        return ["must be no more than 253 bytes"]
    if not _config_key(text):
        return [
            _examples(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                "[-._a-zA-Z0-9]+",
                "key.name",
                "KEY_NAME",
                "key-name",
            )
        ]
    if text in {".", ".."}:
        return [f"must not be '{text}'"]
    return [] if not text.startswith("..") else ["must not start with '..'"]


def environment_name(text: str) -> list[str]:
    """The name of an environment variable: printable ASCII without `=` (KEP-4369)."""
    if not text:
        return ["environment variable name must not be empty"]
    if "=" in text or not text.isascii() or not text.isprintable():
        sentence = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        return [_examples(sentence, "[ -<>-~]+", "my.env-name", "MY_ENV.NAME", "MyEnvName1")]
    return []


def port_number(port: object) -> list[str]:
    """A TCP or UDP port."""
    return [] if isinstance(port, int) and 1 <= port <= 65535 else [PORT_RANGE]  # noqa: PLR2004  # 16 bits


@lru_cache(maxsize=4096)
def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, or None where the text is none; zones (`fe80::1%eth0`) are no part of an address."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def family(text: str) -> str:
    """`IPv4` or `IPv6`, empty where the text is no address."""
    address = parse_address(text)
    return "" if address is None else f"IPv{address.version}"


def address_errors(field: str, text: str) -> list[FieldError]:
    """An error unless the text is an IP address."""
    return [] if parse_address(text) else [fields.invalid(field, text, NOT_AN_ADDRESS)]


def cidr_errors(field: str, text: str) -> list[FieldError]:
    """An error unless the text is a prefix in CIDR notation; host bits may be set."""
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return [fields.invalid(field, text, NOT_A_CIDR)]
    return [] if "/" in text else [fields.invalid(field, text, NOT_A_CIDR)]


def syntax_errors(field: str, text: str, syntax: Syntax) -> list[FieldError]:
    """The errors of one text against one syntax."""
    return [fields.invalid(field, text, problem) for problem in syntax(text)]
