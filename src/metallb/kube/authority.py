"""Authorities and the server certificates that they sign: made, read, and held against each other.

An authority is a self-signed CA certificate with an RSA key of 2048 bits; a server certificate names DNS names only.
Everything travels as PEM; keys as PKCS#1, as upstream writes them.
Source: spec/controller.md 14; RFC 5280.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEFORE: Final = dt.timedelta(hours=1)
"""Certificates are valid from this long ago: clocks differ."""

KEY_BITS: Final = 2048

_NAME: Final = "cert"
_ORGANISATION: Final = "metallb"
_CHAIN_LIMIT: Final = 8


class PemError(ValueError):
    """PEM text that is not what it should be: one sentence."""


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority with its key, both as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Pair:
    """A server's chain (its own certificate first) and key, both as PEM."""

    chain: bytes
    key: bytes


def make_authority(now: dt.datetime, lifetime: dt.timedelta) -> Signer:
    """A new authority, valid from an hour ago for `lifetime` from now on. Takes up to a second of CPU time."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION), x509.NameAttribute(NameOID.COMMON_NAME, _NAME)]
    )
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, key_encipherment=True,
        content_commitment=False, data_encipherment=False, key_agreement=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(subject, subject, key.public_key(), now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(_pem(certificate), _key_pem(key))


def issue(signer: Signer, dns_names: Sequence[str], now: dt.datetime, lifetime: dt.timedelta) -> Pair:
    """A server certificate for these names; it ends with its authority at the latest.

    Raises:
        PemError: the signer's texts can't be read.
    """
    authority = read_certificates(signer.certificate)[0]
    signing = read_key(signer.key)
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_names[0][:64])])
    usage = x509.KeyUsage(
        digital_signature=True, key_encipherment=True, key_cert_sign=False,
        content_commitment=False, data_encipherment=False, key_agreement=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ends = min(now + lifetime, authority.not_valid_after_utc)
    certificate = (
        _builder(subject, authority.subject, key.public_key(), now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=False)
        .add_extension(_authority_id(authority), critical=False)
        .sign(signing, None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """All certificates of a text, at least one.

    Raises:
        PemError: there is none, or one is broken.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
        for each in found:  # dates, names and extensions are parsed when they are asked for
            _ = each.not_valid_before_utc, each.not_valid_after_utc, each.subject, each.issuer, names_of(each)
    except ValueError as error:
        raise PemError(f"no certificates: {error}") from error
    return found


def read_key(pem: bytes) -> CertificateIssuerPrivateKeyTypes:
    """A private key without a passphrase.

    Raises:
        PemError: it is none, or of a kind that signs nothing.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except Exception as error:  # broken PEM, a passphrase, unknown curves: the library has many errors for one fact
        raise PemError(f"no private key: {error}") from error
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise PemError(f"a {type(key).__name__} can't sign certificates")
    return key


def same_key(certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes) -> bool:
    """Whether the key is the certificate's."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from error
    return frozenset(names.get_values_for_type(x509.DNSName))


def root_of(chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The certificate of the bundle that vouches for the first of the chain, by way of the others; None: nobody."""
    current = chain[0]
    for _ in range(_CHAIN_LIMIT):
        for trusted in bundle:
            if trusted == current or _signed(current, trusted):
                return trusted
        following = next((each for each in chain[1:] if each != current and _signed(current, each)), None)
        if following is None:
            return None
        current = following
    return None


def is_valid_at(certificate: x509.Certificate, moment: dt.datetime) -> bool:
    """Whether the moment is in its validity."""
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def pem_of(certificates: Sequence[x509.Certificate]) -> bytes:
    """Their text, one after the other."""
    return b"".join(_pem(each) for each in certificates)


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(ends)
    )


def _authority_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = authority.public_key()
        assert isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey))
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
