"""What is to be done about a webhook's certificate, given what is seen and the time. Pure.

A new authority comes in three steps, so that at no moment a request meets a certificate that it does not trust:

1. The Secret gets the new authority beside the old one; the certificate that is served stays.
2. When everybody has trusted both for a while, the Secret gets a certificate signed by the new one, and it is served.
3. When that has been served for a while, the old authority leaves the bundle.

Each step is read off the Secret and the targets, so any replica can take the next one, also after a restart.
Source: spec/controller.md 14.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography import x509

from metallb.kube.authority import (
    BEFORE,
    Pair,
    PemError,
    Signer,
    is_valid_at,
    names_of,
    pem_of,
    read_certificates,
    read_key,
    root_of,
    same_key,
)

CA_CERTIFICATE: Final = "ca.crt"
CA_KEY: Final = "ca.key"
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"

OLD_AUTHORITIES: Final = 3
"""How many authorities of before a bundle keeps at most."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What certificates have to be like.

    Attributes:
        dns_names: that the server certificate must be for.
        authority_lifetime: of a new authority.
        lifetime: of a new server certificate.
        ahead: what would be invalid so far ahead is renewed; shorter than `lifetime`.
        settle: how long all targets must have trusted a new authority before a certificate of it is served: API servers
            take a moment to follow, more so where there are several.
        overlap: how long a new certificate is served before the authorities of before leave the bundle.
        check: how often all is looked at, whatever happens.
    """

    dns_names: tuple[str, ...]
    authority_lifetime: dt.timedelta = dt.timedelta(days=3650)
    lifetime: dt.timedelta = dt.timedelta(days=365)
    ahead: dt.timedelta = dt.timedelta(days=90)
    settle: dt.timedelta = dt.timedelta(seconds=10)
    overlap: dt.timedelta = dt.timedelta(hours=1)
    check: dt.timedelta = dt.timedelta(hours=12)

    def __post_init__(self) -> None:
        """A certificate that is due the moment it is made would be made for ever.

        Raises:
            ValueError: `ahead` is too long, or there is no name.
        """
        if not self.dns_names:
            raise ValueError("a server certificate needs a DNS name")
        if not self.ahead < min(self.lifetime, self.authority_lifetime):
            raise ValueError(f"certificates of {self.lifetime} can't be renewed {self.ahead} before they end")


@dataclass(frozen=True, slots=True)
class Material:
    """What a Secret holds, as far as it can be read.

    Attributes:
        bundle: the text of the authorities.
        authorities: the same, read.
        signer: the authority whose key is there.
        signing: its certificate.
        pair: chain and key of the server.
        leaf: the server's certificate.
        root: which authority vouches for it.
        fault: why it can't be used at any time; empty: it can.
        filled: whether there was anything at all.
    """

    bundle: bytes = b""
    authorities: tuple[x509.Certificate, ...] = ()
    signer: Signer | None = None
    signing: x509.Certificate | None = None
    pair: Pair | None = None
    leaf: x509.Certificate | None = None
    root: x509.Certificate | None = None
    fault: str = ""
    filled: bool = True

    def fault_at(self, moment: dt.datetime) -> str:
        """Why the server's certificate can't be used at that time; empty: it can."""
        if self.fault or self.leaf is None or self.root is None:
            return self.fault or f"{CERTIFICATE} is not there"
        for what, certificate in ((CERTIFICATE, self.leaf), (CA_CERTIFICATE, self.root)):
            if not is_valid_at(certificate, moment):
                begins, ends = _day(certificate.not_valid_before_utc), _day(certificate.not_valid_after_utc)
                return f"{what} is valid from {begins} to {ends}"
        return ""


@dataclass(frozen=True, slots=True)
class Target:
    """An object that must trust us: its name for logs, and each of its bundles (PEM; empty: none)."""

    name: str
    bundles: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NewAuthority:
    """Write a new authority into the Secret. `pair`: the certificate to keep meanwhile; None: make one at once."""

    why: str
    keep: bytes
    pair: Pair | None


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """Write a new server certificate, signed by `signer`, into the Secret."""

    why: str
    signer: Signer


@dataclass(frozen=True, slots=True)
class NewBundle:
    """Write this bundle into the Secret: authorities of before have served."""

    why: str
    bundle: bytes


Step: TypeAlias = NewAuthority | NewCertificate | NewBundle


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes:
        step: what to write into the Secret; None: nothing.
        inject: the bundle that all targets must have; None: leave them.
        serve: what to serve from now on; None: go on as before.
        ready: what is served is trusted by all targets.
        again: when to look again at the latest.
    """

    step: Step | None
    inject: bytes | None
    serve: Pair | None
    ready: bool
    again: dt.timedelta


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a plan is made from.

    Attributes:
        secret: what it holds; None: there is no Secret.
        targets: those that exist.
        served: the content of the Secret whose certificate this process serves now; None: none yet.
        trusted_for: how long all targets have trusted `secret.signing`; None: not all do.
    """

    secret: Material | None
    targets: Sequence[Target] = ()
    served: Material | None = None
    trusted_for: dt.timedelta | None = None


def read(data: Mapping[str, bytes], rules: Rules) -> Material:
    """What a Secret's data mean."""
    filled = any(data.get(name) for name in (CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY))
    try:
        authorities = tuple(read_certificates(data.get(CA_CERTIFICATE, b"")))
    except PemError as error:
        return Material(fault=f"{CA_CERTIFICATE}: {error}", filled=filled)
    bundle = data[CA_CERTIFICATE]
    signing, signer = _signer(authorities, data.get(CA_KEY, b""))
    try:
        chain = read_certificates(data.get(CERTIFICATE, b""))
        key = read_key(data.get(KEY, b""))
    except PemError as error:
        return Material(bundle, authorities, signer, signing, fault=f"{CERTIFICATE}, {KEY}: {error}", filled=filled)
    pair = Pair(data[CERTIFICATE], data[KEY])
    root = root_of(chain, authorities)
    fault = ""
    if not same_key(chain[0], key):
        fault = f"{KEY} is not the key of {CERTIFICATE}"
    elif missing := set(rules.dns_names) - names_of(chain[0]):
        fault = f"{CERTIFICATE} is not for {', '.join(sorted(missing))}"
    elif root is None:
        fault = f"nobody in {CA_CERTIFICATE} vouches for {CERTIFICATE}"
    return Material(bundle, authorities, signer, signing, pair, chain[0], root, fault, filled)


def trusted(targets: Iterable[Target], authority: x509.Certificate | None) -> bool:
    """Whether all targets trust an authority, in each of their bundles."""
    return authority is not None and all(_holds(each, authority) for target in targets for each in target.bundles)


def plan(seen: Seen, now: dt.datetime, rules: Rules) -> Plan:
    """What to do."""
    secret, served = seen.secret, seen.served
    step, wait = _step(seen, now, rules)
    if secret is None or secret.fault_at(now):
        sound = secret is not None and not _signer_fault(secret, now + rules.ahead)
        return Plan(step, secret.bundle if secret is not None and sound else None, None, False, wait)
    ready = trusted(seen.targets, secret.root)
    current = served.pair if served is not None and not served.fault_at(now) else None
    serve = secret.pair if (ready or current is None) and secret.pair != current else None
    return Plan(step, secret.bundle, serve, ready and (serve or current) == secret.pair, wait)


def _step(seen: Seen, now: dt.datetime, rules: Rules) -> tuple[Step | None, dt.timedelta]:
    """The next write of the Secret, and when to think again."""
    horizon = now + rules.ahead
    secret = seen.secret
    good = seen.served if seen.served is not None and not seen.served.fault_at(now) else None
    if secret is None:
        return _new_authority("there is no Secret", good, now), rules.check
    fault, signer_fault = secret.fault_at(now), _signer_fault(secret, horizon)
    if fault and signer_fault:
        said = f"{fault}; {signer_fault}" if secret.filled else "the Secret is empty"
        return _new_authority(said, good, now, also=secret), rules.check
    if fault and secret.signer is not None:
        return NewCertificate(fault, secret.signer), rules.check
    due = secret.fault_at(horizon)
    if signer_fault:
        if secret.signer is None and not due:  # somebody else's: as long as it is valid
            return None, _until(secret, now, rules)
        return _new_authority(due or signer_fault, secret, now), rules.check
    return _with_signer(seen, secret, due, now, rules)


def _with_signer(
    seen: Seen, secret: Material, due: str, now: dt.datetime, rules: Rules
) -> tuple[Step | None, dt.timedelta]:
    """The next write where the Secret can be used, and has an authority that can sign for long."""
    assert secret.signer is not None
    assert secret.leaf is not None
    if secret.root != secret.signing:
        if seen.trusted_for is not None and seen.trusted_for >= rules.settle:
            return NewCertificate("the authority of before is on its way out", secret.signer), rules.check
        return None, min(rules.settle - (seen.trusted_for or dt.timedelta()), rules.check)
    if due:
        return NewCertificate(due, secret.signer), rules.check
    if len(secret.authorities) > 1:
        rest = secret.leaf.not_valid_before_utc + BEFORE + rules.overlap - now
        if rest <= dt.timedelta():
            assert secret.signing is not None
            return NewBundle("authorities of before have served", pem_of([secret.signing])), rules.check
        return None, min(rest, _until(secret, now, rules))
    return None, _until(secret, now, rules)


def _new_authority(why: str, good: Material | None, now: dt.datetime, also: Material | None = None) -> NewAuthority:
    """A new authority beside those that are still valid; a certificate that can be used stays for now."""
    known = [*(good.authorities if good else ()), *(also.authorities if also else ())]
    keep = [each for each in dict.fromkeys(known) if is_valid_at(each, now)][:OLD_AUTHORITIES]
    if good is not None and good.root is not None and good.root not in keep:
        keep[-1:] = [good.root]
    return NewAuthority(why, pem_of(keep), good.pair if good else None)


def _signer_fault(secret: Material, horizon: dt.datetime) -> str:
    """Why nothing can be signed, or not for long; empty: it can."""
    if secret.signing is None:
        return f"{CA_KEY} is not the key of an authority in {CA_CERTIFICATE}"
    if not is_valid_at(secret.signing, horizon):
        return f"{CA_CERTIFICATE} ends on {_day(secret.signing.not_valid_after_utc)}"
    return ""


def _signer(authorities: tuple[x509.Certificate, ...], key_pem: bytes) -> tuple[x509.Certificate | None, Signer | None]:
    try:
        key = read_key(key_pem)
    except PemError:
        return None, None
    for each in authorities:
        if same_key(each, key) and _is_authority(each):
            return each, Signer(pem_of([each]), key_pem)
    return None, None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _until(secret: Material, now: dt.datetime, rules: Rules) -> dt.timedelta:
    """How long until something is due, at most the interval of checks and at least a second."""
    ends = [each.not_valid_after_utc for each in (secret.leaf, secret.root, secret.signing) if each is not None]
    due = min((end - rules.ahead - now for end in ends), default=rules.check)
    return max(min(due, rules.check), dt.timedelta(seconds=1))


def _holds(bundle: bytes, authority: x509.Certificate) -> bool:
    try:
        return authority in read_certificates(bundle)
    except PemError:
        return False


def _day(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
