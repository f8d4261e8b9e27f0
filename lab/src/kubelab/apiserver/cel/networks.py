"""CEL's functions of addresses, prefixes and URLs as Kubernetes has them (apiserver `cel/library/{ip,cidr,urls}`)."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from kubelab.apiserver.cel.overloads import Table, is_opaque, is_text, opaque

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_PREFIX: Final = re.compile(r"(?P<address>[0-9A-Fa-f:.]+)/(?P<length>0|[1-9]\d{0,2})", re.ASCII)
_URL: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|/)[^\x00-\x20\x7f]*")
_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"
_is_ip, _is_cidr, _is_url = is_opaque("ip"), is_opaque("cidr"), is_opaque("url")


def _address(text: str) -> Address:
    """An address; neither a zone nor IPv4 within IPv6 is one here."""
    if "%" in text:
        raise ValueError(f'IP Address "{text}" with zone value is not allowed')
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        why = f'ParseAddr("{text}"): unable to parse IP'
        raise ValueError(f'IP Address "{text}" parse error during conversion from string: {why}') from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return found


def _prefix(text: str) -> Prefix:
    found = _PREFIX.fullmatch(text)
    if found is not None and _holds(_address)(found["address"]):
        with contextlib.suppress(ValueError):
            return ipaddress.ip_interface(text)
    raise ValueError(f'network address parse error during conversion from string: "{text}"')


def _url(text: str) -> SplitResult:
    """An absolute URI or an absolute path."""
    if not _URL.fullmatch(text):
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    try:
        found = urlsplit(text)
        _ = found.port
    except ValueError as error:
        raise ValueError(f"URL parse error during conversion from string: {error}") from None
    return found


def _holds(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _ip(address: Address) -> dict[str, Any]:
    return opaque("ip", str(address))


def _canonical(text: str) -> bool:
    return str(_address(text)) == text


def _of_ip(ask: Callable[[Address], Any]) -> Callable[[Any], Any]:
    return lambda value: ask(_address(value["value"]))


def _of_cidr(ask: Callable[[Prefix], Any]) -> Callable[[Any], Any]:
    return lambda value: ask(_prefix(value["value"]))


def _of_url(ask: Callable[[SplitResult], Any]) -> Callable[[Any], Any]:
    return lambda value: ask(_url(value["value"]))


def _link_local_multicast(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.ip_network("224.0.0.0/24")
    return address.is_multicast and address.packed[1] & 0x0F == 2  # noqa: PLR2004  # scope link-local, RFC 4291 2.7


def _global_unicast(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address) and address == ipaddress.IPv4Address("255.255.255.255"):
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)


def _contains_ip(network: Any, address: Any) -> bool:
    text = address if isinstance(address, str) else address["value"]
    return _address(text) in _prefix(network["value"]).network


def _contains_cidr(network: Any, other: Any) -> bool:
    outer = _prefix(network["value"]).network
    inner = _prefix(other if isinstance(other, str) else other["value"]).network
    same_family = inner.version == outer.version
    return same_family and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _hostname(url: SplitResult) -> str:
    host = url.netloc.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


TABLE: Final[Table] = {
    "isIP": [((is_text,), _holds(_address))],
    "ip": [((is_text,), lambda text: _ip(_address(text))), ((_is_cidr,), _of_cidr(lambda one: _ip(one.ip)))],
    "ip_isCanonical": [((is_text,), _canonical)],
    "family": [((_is_ip,), _of_ip(lambda one: one.version))],
    "isUnspecified": [((_is_ip,), _of_ip(lambda one: one.is_unspecified))],
    "isLoopback": [((_is_ip,), _of_ip(lambda one: one.is_loopback))],
    "isLinkLocalMulticast": [((_is_ip,), _of_ip(_link_local_multicast))],
    "isLinkLocalUnicast": [((_is_ip,), _of_ip(lambda one: one.is_link_local))],
    "isGlobalUnicast": [((_is_ip,), _of_ip(_global_unicast))],
    "isCIDR": [((is_text,), _holds(_prefix))],
    "cidr": [((is_text,), lambda text: opaque("cidr", str(_prefix(text))))],
    "containsIP": [((_is_cidr, is_text), _contains_ip), ((_is_cidr, _is_ip), _contains_ip)],
    "containsCIDR": [((_is_cidr, is_text), _contains_cidr), ((_is_cidr, _is_cidr), _contains_cidr)],
    "masked": [((_is_cidr,), _of_cidr(lambda one: opaque("cidr", str(one.network))))],
    "prefixLength": [((_is_cidr,), _of_cidr(lambda one: one.network.prefixlen))],
    "isURL": [((is_text,), _holds(_url))],
    "url": [((is_text,), lambda text: opaque("url", _url(text).geturl()))],
    "getScheme": [((_is_url,), _of_url(lambda one: one.scheme))],
    "getHost": [((_is_url,), _of_url(lambda one: one.netloc.rpartition("@")[2]))],
    "getHostname": [((_is_url,), _of_url(_hostname))],
    "getPort": [((_is_url,), _of_url(lambda one: "" if one.port is None else str(one.port)))],
    "getEscapedPath": [((_is_url,), _of_url(lambda one: quote(one.path, safe=_PATH_SAFE)))],
    "getQuery": [((_is_url,), _of_url(lambda one: parse_qs(one.query, keep_blank_values=True)))],
}
"""Each function with its overloads."""
