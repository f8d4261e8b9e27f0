"""The TLS settings of our servers as users write them (Go's and IANA's names), and the contexts made of them.

Source: spec/controller.md 1 (`--tls-*`), spec/operator.md 4.4; IANA "TLS Cipher Suites", "TLS Supported Groups".
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}

CIPHERS: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}
"""TLS 1.2 cipher suites by IANA name (and the two short names that Go also knows) as OpenSSL calls them."""

CURVES: Final[Mapping[int, str]] = {23: "prime256v1", 24: "secp384r1", 25: "secp521r1", 29: "X25519"}
"""Groups by number (RFC 8446 4.2.7) that OpenSSL can be told to use."""


class TlsSettingsError(ValueError):
    """A TLS setting that can't be: names the flag, the value and the rule."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What the flags `--tls-*` say, checked.

    Attributes:
        minimum: the oldest version that is accepted.
        ciphers: OpenSSL names of TLS 1.2 suites; empty: the library's choice.
        curves: group numbers in the order of preference; empty: the library's choice.
    """

    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: tuple[str, ...] = ()
    curves: tuple[int, ...] = ()

    @classmethod
    def parse(cls, minimum: str = "", ciphers: str = "", curves: str = "") -> TlsSettings:
        """From the three flags' values; empty ones mean the defaults.

        Raises:
            TlsSettingsError: an unknown name, a number twice, or cipher suites with a minimum of TLS 1.3.
        """
        version = VERSIONS.get(minimum or "VersionTLS13")
        if version is None:
            raise TlsSettingsError(f"--tls-min-version {minimum!r}: want one of {', '.join(VERSIONS)}")
        suites = tuple(_cipher(name) for name in _items(ciphers))
        if suites and version == ssl.TLSVersion.TLSv1_3:
            raise TlsSettingsError(
                "--tls-cipher-suites can't be set with a minimum of VersionTLS13: its suites are fixed"
            )
        groups = tuple(_curve(number) for number in _items(curves))
        if len(set(groups)) != len(groups):
            raise TlsSettingsError(f"--tls-curve-preferences {curves!r}: a curve stands twice")
        return cls(version, suites, groups)

    def server_context(self, *, http2: bool = False) -> ssl.SSLContext:
        """A server context with these settings, without a certificate yet.

        Python's ssl can be told one group only: the first of `curves` that it takes; without any, all stay.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.minimum
        if self.ciphers:
            context.set_ciphers(":".join(self.ciphers))
        _prefer_curve(context, [CURVES[number] for number in self.curves if number in CURVES])
        context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
        return context


def _prefer_curve(context: ssl.SSLContext, names: list[str]) -> None:
    """The first that this build of OpenSSL takes; some builds take no Montgomery curves."""
    for name in names:
        with contextlib.suppress(ssl.SSLError, ValueError):
            context.set_ecdh_curve(name)
            return


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _cipher(name: str) -> str:
    try:
        return CIPHERS[name]
    except KeyError:
        raise TlsSettingsError(f"--tls-cipher-suites {name!r}: unknown; known are {', '.join(CIPHERS)}") from None


def _curve(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):  # noqa: PLR2004  # 16 bits on the wire
        raise TlsSettingsError(f"--tls-curve-preferences {text!r}: want a number from 1 to 65535")
    return int(text)
