"""What kind of cluster it is, and what follows from it. Pure (spec/operator.md 4.3, 4.4).

Source: config.openshift.io/v1 APIServer, TLSSecurityProfile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field

from metallb.api.core import Model, ObjectMeta

OPENSHIFT_GROUP: Final = "route.openshift.io"
"""The API group that OpenShift has and no other cluster."""

_VERSIONS: Final = {"Old": "VersionTLS10", "Intermediate": "VersionTLS12", "Modern": "VersionTLS13"}
_INTERMEDIATE: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_OLD: Final = (
    *_INTERMEDIATE,
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
_CIPHERS: Final[Mapping[str, tuple[str, ...]]] = {"Old": _OLD, "Intermediate": _INTERMEDIATE, "Modern": ()}


class Group(Struct, frozen=True):
    """meta/v1 APIGroup."""

    name: str = ""


class Groups(Struct, frozen=True):
    """meta/v1 APIGroupList: what `GET /apis` answers."""

    groups: tuple[Group, ...] = ()


class CustomProfile(Model, frozen=True):
    """config.openshift.io/v1 TLSProfileSpec; ciphers by the names of OpenSSL."""

    ciphers: tuple[str, ...] = ()
    min_tls_version: str = field(default="", name="minTLSVersion")


class SecurityProfile(Model, frozen=True):
    """config.openshift.io/v1 TLSSecurityProfile."""

    type: str = ""
    custom: CustomProfile | None = None


class ApiServerSpec(Model, frozen=True):
    """config.openshift.io/v1 APIServerSpec, as far as TLS goes."""

    tls_security_profile: SecurityProfile | None = None


class ApiServer(Model, frozen=True):
    """config.openshift.io/v1 APIServer."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ApiServerSpec = ApiServerSpec()


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """The cluster's rules for TLS, in the words of the operands' flags.

    Attributes:
        minimum: `VersionTLS10` to `VersionTLS13`.
        ciphers: names of IANA; empty: the library's choice.
    """

    minimum: str
    ciphers: tuple[str, ...]


def is_openshift(groups: Iterable[Group]) -> bool:
    """Whether it is OpenShift."""
    return any(each.name == OPENSHIFT_GROUP for each in groups)


def tls_profile(server: ApiServer, iana: Mapping[str, str], minima: Collection[str]) -> TlsProfile:
    """What the cluster's administrator wants of TLS; Intermediate where nothing is said, or nothing that we know.

    Args:
        server: the object `cluster`.
        iana: IANA's names by OpenSSL's, of the suites that we can be told.
        minima: the versions that we can be told.
    """
    profile = server.spec.tls_security_profile or SecurityProfile()
    minimum, names = _VERSIONS.get(profile.type, ""), _CIPHERS.get(profile.type, _INTERMEDIATE)
    if profile.type == "Custom" and profile.custom is not None:
        minimum, names = profile.custom.min_tls_version, profile.custom.ciphers
    if minimum not in minima:
        minimum = "VersionTLS12"
    known = () if minimum == "VersionTLS13" else tuple(iana[name] for name in names if name in iana)
    return TlsProfile(minimum, known)
