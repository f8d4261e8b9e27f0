"""A lab's certificates: one authority that signs every identity of the cluster, and the kubeconfigs that carry them.

Subjects are those that Kubernetes gives meaning to (kubernetes.io "PKI certificates and requirements"): the common name
is the user, organisations are its groups.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubelab.objects import Object

AlternativeName: TypeAlias = str | IPv4Address | IPv6Address

VALID_BEFORE = dt.timedelta(hours=1)
"""How far back certificates reach, for clocks that a test sets back."""
VALID_FOR = dt.timedelta(days=3650)

ADMINISTRATORS = "system:masters"
"""The group that may do everything (RBAC's bootstrap policy)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is for. `names` make it a server's certificate for these host names and addresses."""

    user: str
    groups: tuple[str, ...] = ()
    names: tuple[AlternativeName, ...] = ()


@dataclass(frozen=True, slots=True)
class Files:
    """Where an identity was written."""

    cert: Path
    key: Path


class Authority:
    """A lab's certificate authority. Its key stays in memory, so nothing can be signed once this object is gone.

    `now` is the time of signing (seconds since the epoch); `draw(n)` gives a random number below n, for serial numbers.
    """

    def __init__(self, now: float, draw: Callable[[int], int]) -> None:
        self._now = dt.datetime.fromtimestamp(now, dt.UTC)
        self._draw = draw
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelab")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, subject: Subject) -> Identity:
        """A new key and its certificate: for clients, and for servers if the subject has names."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, subject.user))
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._builder(x509.Name(attributes), key)
        if subject.names:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(subject.names)), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Identity(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(1 + self._draw(1 << 120))
            .not_valid_before(self._now - VALID_BEFORE)
            .not_valid_after(self._now + VALID_FOR)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority_key, critical=False)
        )


def service_account_key() -> bytes:
    """A new key that signs service accounts' tokens (ES256), PEM."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def api_server_names(hosts: Iterable[AlternativeName]) -> tuple[AlternativeName, ...]:
    """The names an API server answers to: the well-known ones of its service, loopback, and `hosts`."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    return (*service, "localhost", IPv4Address("127.0.0.1"), IPv6Address("::1"), *hosts)


def write_identity(identity: Identity, folder: Path, name: str) -> Files:
    """Write an identity as `name`.crt and `name`.key, the key readable by its owner only.

    Raises:
        OSError: the folder cannot be written.
    """
    files = Files(folder / f"{name}.crt", folder / f"{name}.key")
    files.cert.write_bytes(identity.certificate)
    write_secret(files.key, identity.key)
    return files


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read.

    Raises:
        OSError: it cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def kubeconfig(server: str, authority: bytes, identity: Identity, *, cluster: str, user: str) -> bytes:
    """A kubeconfig (client.config/v1) that carries everything inline, as JSON, which every reader of YAML reads."""
    document: Object = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64(identity.certificate),
                    "client-key-data": _base64(identity.key),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _general_names(names: Sequence[AlternativeName]) -> list[x509.GeneralName]:
    return [x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name) for name in names]


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
