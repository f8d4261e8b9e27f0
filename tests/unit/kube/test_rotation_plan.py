"""What is to be done about a certificate: a table of situations, and the whole life of a rotation."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from metallb.kube import authority
from metallb.kube.authority import Pair, Signer, issue, make_authority, read_certificates
from metallb.kube.certificates import self_signed
from metallb.kube.rotation import _make
from metallb.kube.rotation_plan import (
    Material,
    NewAuthority,
    NewBundle,
    NewCertificate,
    Plan,
    Rules,
    Seen,
    Target,
    plan,
    read,
    trusted,
)

NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAME = "hook.ns.svc"
RULES = Rules((NAME,))
SETTLED = RULES.settle


@dataclass(frozen=True)
class Kit:
    """Authorities and certificates that the table is written with; keys are slow to make, so they are made once."""

    young: Signer
    old: Signer
    ending: Signer
    ended: Signer
    by_young: Pair
    by_old: Pair
    by_ending: Pair
    by_ended: Pair
    short: Pair
    elsewhere: Pair


@pytest.fixture(scope="module")
def kit() -> Kit:
    young, old = make_authority(NOW, 3650 * DAY), make_authority(NOW, 3650 * DAY)
    ending, ended = make_authority(NOW, 30 * DAY), make_authority(NOW - 10 * DAY, 5 * DAY)
    year = RULES.lifetime
    return Kit(
        young, old, ending, ended,
        issue(young, [NAME], NOW, year), issue(old, [NAME], NOW, year),
        issue(ending, [NAME], NOW, year), issue(ended, [NAME], NOW - 10 * DAY, year),
        issue(young, [NAME], NOW, 30 * DAY), issue(young, ["other.ns.svc"], NOW, year),
    )  # fmt: skip


def material(bundle: bytes, key: bytes, pair: Pair) -> Material:
    return read({"ca.crt": bundle, "ca.key": key, "tls.crt": pair.chain, "tls.key": pair.key}, RULES)


def certificates(pem: bytes) -> int:
    return pem.count(b"BEGIN CERTIFICATE")


# Each row: what the Secret holds, what is served, since when all trust the signing authority; the step, words of its
# reason, whether the targets get the Secret's bundle, whether the Secret's pair gets served (targets trust nobody).
Row = tuple[
    Callable[[Kit], Material | None],
    Callable[[Kit], Material | None],
    dt.timedelta | None,
    type | None,
    str,
    bool,
    bool,
]


def nothing(_kit: Kit) -> None:
    return None


def good(kit: Kit) -> Material:
    return material(kit.young.certificate, kit.young.key, kit.by_young)


ROWS: dict[str, Row] = {
    "absent": (nothing, nothing, None, NewAuthority, "there is no Secret", False, False),
    "empty": (lambda _: read({}, RULES), nothing, None, NewAuthority, "the Secret is empty", False, False),
    "garbage": (
        lambda _: read({"ca.crt": b"\xff", "tls.crt": b"?"}, RULES), nothing,
        None, NewAuthority, "ca.crt: no certificates", False, False,
    ),
    "good": (good, nothing, None, None, "", True, True),
    "good and served": (good, good, None, None, "", True, False),
    "no server certificate": (
        lambda kit: read({"ca.crt": kit.young.certificate, "ca.key": kit.young.key}, RULES), nothing,
        None, NewCertificate, "tls.crt, tls.key: no certificates", True, False,
    ),
    "key of another certificate": (
        lambda kit: material(kit.young.certificate, kit.young.key, Pair(kit.by_young.chain, kit.by_old.key)), nothing,
        None, NewCertificate, "tls.key is not the key of tls.crt", True, False,
    ),
    "another name": (
        lambda kit: material(kit.young.certificate, kit.young.key, kit.elsewhere), nothing,
        None, NewCertificate, f"tls.crt is not for {NAME}", True, False,
    ),
    "signed by nobody known": (
        lambda kit: material(kit.young.certificate, kit.young.key, kit.by_old), nothing,
        None, NewCertificate, "nobody in ca.crt vouches for tls.crt", True, False,
    ),
    "nobody known, nobody to sign": (
        lambda kit: material(kit.young.certificate, kit.old.key, kit.by_old), nothing,
        None, NewAuthority, "vouches for tls.crt; ca.key is not the key", False, False,
    ),
    "server certificate ends soon": (
        lambda kit: material(kit.young.certificate, kit.young.key, kit.short), nothing,
        None, NewCertificate, "tls.crt is valid from 2026-11-24 23:00:00Z to 2026-12-25 00:00:00Z", True, True,
    ),
    "authority ends soon": (
        lambda kit: material(kit.ending.certificate, kit.ending.key, kit.by_ending), nothing,
        None, NewAuthority, "tls.crt is valid", True, True,
    ),
    "authority has ended": (
        lambda kit: material(kit.ended.certificate, kit.ended.key, kit.by_ended), nothing,
        None, NewAuthority, "ca.crt ends on", False, False,
    ),
    "somebody else's, valid": (
        lambda kit: material(kit.young.certificate, b"", kit.by_young), nothing, None, None, "", True, True,
    ),
    "somebody else's, ends soon": (
        lambda kit: material(kit.young.certificate, b"", kit.short), nothing,
        None, NewAuthority, "tls.crt is valid", True, True,
    ),
    "new authority beside the old, not trusted yet": (
        lambda kit: material(kit.young.certificate + kit.old.certificate, kit.young.key, kit.by_old), nothing,
        None, None, "", True, True,
    ),
    "new authority beside the old, trusted for a moment": (
        lambda kit: material(kit.young.certificate + kit.old.certificate, kit.young.key, kit.by_old), nothing,
        SETTLED / 2, None, "", True, True,
    ),
    "new authority beside the old, trusted for a while": (
        lambda kit: material(kit.young.certificate + kit.old.certificate, kit.young.key, kit.by_old), nothing,
        SETTLED, NewCertificate, "on its way out", True, True,
    ),
    "served by the new authority for less than the overlap": (
        lambda kit: material(kit.young.certificate + kit.old.certificate, kit.young.key, kit.by_young), good,
        SETTLED, None, "", True, False,
    ),
    "another replica has written another good one": (
        lambda kit: material(kit.old.certificate, kit.old.key, kit.by_old), good, None, None, "", True, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_situation_has_its_step(row: Row, kit: Kit) -> None:
    secret, served, trust, step, why, injects, serves = row
    found = secret(kit)
    targets = [Target("configuration", (b"", b""))]
    decided = plan(Seen(found, targets, served(kit), trust), NOW, RULES)
    assert type(decided.step) is (step or type(None))
    assert why in (decided.step.why if decided.step else "")
    assert decided.inject == (found.bundle if injects and found else None)
    assert decided.serve == (found.pair if serves and found else None)
    assert not decided.ready, "the targets trust nobody"
    assert dt.timedelta(0) < decided.again <= RULES.check


def test_what_is_trusted_and_served_is_ready(kit: Kit) -> None:
    secret = good(kit)
    decided = plan(Seen(secret, [Target("x", (secret.bundle,))], secret), NOW, RULES)
    assert decided == Plan(None, secret.bundle, None, ready=True, again=RULES.check)


def test_another_certificate_is_served_once_it_is_trusted(kit: Kit) -> None:
    other = material(kit.old.certificate, kit.old.key, kit.by_old)
    decided = plan(Seen(other, [Target("x", (other.bundle,))], good(kit)), NOW, RULES)
    assert (decided.serve, decided.ready) == (other.pair, True)


def test_a_secret_that_goes_takes_no_trust_with_it(kit: Kit) -> None:
    for secret in (None, read({"ca.crt": b"garbage"}, RULES)):
        step = plan(Seen(secret, (), good(kit)), NOW, RULES).step
        assert isinstance(step, NewAuthority)
        assert step.keep == kit.young.certificate, "the authority of what is served stays trusted"
        assert step.pair == kit.by_young, "and what is served stays"


def test_the_authority_that_ends_is_kept_beside_the_new_one_and_one_that_has_ended_is_not(kit: Kit) -> None:
    both = material(kit.ending.certificate + kit.ended.certificate, kit.ending.key, kit.by_ending)
    step = plan(Seen(both), NOW, RULES).step
    assert isinstance(step, NewAuthority)
    assert (step.keep, step.pair) == (kit.ending.certificate, kit.by_ending)


def test_no_more_than_a_few_authorities_are_kept_but_always_the_one_in_use(kit: Kit) -> None:
    many = b"".join(make_authority(NOW, DAY).certificate for _ in range(4))
    crowded = material(many + kit.ending.certificate, b"", kit.by_ending)
    step = plan(Seen(crowded), NOW, RULES).step
    assert isinstance(step, NewAuthority)
    assert certificates(step.keep) == 3
    assert kit.ending.certificate in step.keep


def test_old_authorities_leave_after_the_overlap(kit: Kit) -> None:
    both = material(kit.young.certificate + kit.old.certificate, kit.young.key, kit.by_young)
    early = plan(Seen(both, (), both), NOW + RULES.overlap - dt.timedelta(minutes=1), RULES)
    assert early.step is None
    assert early.again == dt.timedelta(minutes=1), "and it is looked at in time"
    late = plan(Seen(both, (), both), NOW + RULES.overlap, RULES).step
    assert isinstance(late, NewBundle)
    assert late.bundle == kit.young.certificate


def test_what_falls_due_before_the_next_check_is_looked_at_in_time(kit: Kit) -> None:
    secret = good(kit)
    before = NOW + RULES.lifetime - RULES.ahead - dt.timedelta(hours=1)
    assert plan(Seen(secret), before, RULES).again == dt.timedelta(hours=1)


def test_an_intermediate_certificate_links_to_its_authority(kit: Kit) -> None:
    chain = Pair(kit.by_young.chain + kit.young.certificate, kit.by_young.key)
    assert material(kit.young.certificate, b"", chain).fault == ""


def test_a_self_signed_certificate_vouches_for_itself() -> None:
    certificate, key = (each.encode() for each in self_signed(NAME, [NAME], wall_s=NOW.timestamp()))
    own = material(certificate, key, Pair(certificate, key))
    assert own.fault == ""
    assert own.signer is None, "it is no authority"
    assert plan(Seen(own), NOW, RULES).step is None


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"dns_names": ()}, "needs a DNS name"),
        ({"ahead": dt.timedelta(days=365)}, "can't be renewed"),
        ({"authority_lifetime": dt.timedelta(days=90)}, "can't be renewed"),
    ],
)
def test_rules_that_would_renew_for_ever_are_refused(rules: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(RULES, **rules)  # type: ignore[arg-type]  # a row


def test_all_bundles_must_hold_an_authority(kit: Kit) -> None:
    young = read_certificates(kit.young.certificate)[0]
    both = Target("both", (kit.old.certificate + kit.young.certificate,))
    half = Target("half", (kit.young.certificate, kit.old.certificate))
    bad = Target("bad", (b"garbage",))
    none = Target("no webhooks", ())
    assert trusted([both, none], young)
    assert not trusted([both, half], young)
    assert not trusted([bad], young)
    assert not trusted([none], None)


@dataclass
class World:
    """A Secret, what trusts it, and replicas that serve: time passes, each takes its steps."""

    now: dt.datetime = NOW
    data: dict[str, bytes] | None = None
    bundle: bytes = b""
    trusting: dict[bytes, dt.datetime] = field(default_factory=dict)
    served: list[Material | None] = field(default_factory=lambda: [None, None])
    writes: int = 0
    known: dict[tuple[tuple[str, bytes], ...], Material] = field(default_factory=dict)

    def read(self) -> Material | None:
        """What the Secret holds; each content is read once."""
        if self.data is None:
            return None
        content = tuple(sorted(self.data.items()))
        if content not in self.known:
            self.known[content] = read(self.data, RULES)
        return self.known[content]

    def turn(self, replica: int) -> Plan:
        """One look of one replica at the world, and what it does."""
        secret = self.read()
        target = [Target("x", (self.bundle,))]
        since = None
        if secret is not None and secret.signer is not None and trusted(target, secret.signing):
            since = self.now - self.trusting.setdefault(secret.signer.certificate, self.now)
        decided = plan(Seen(secret, target, self.served[replica], since), self.now, RULES)
        if secret is not None and (decided.serve or _pair(self.served[replica])) == secret.pair:
            self.served[replica] = secret
        self.bundle = decided.inject or self.bundle
        if decided.step is not None:
            self.writes += 1
            self.data = (self.data or {}) | _make(decided.step, self.now, RULES)
        return decided

    def rest(self) -> None:
        """Turns until nobody has anything to do at this moment; at each one what is served is trusted."""
        while True:
            decided = [self.turn(replica) for replica in (0, 1)]
            if not any(each.step or each.serve for each in decided):
                break
            self.check()

    def check(self) -> None:
        for served in self.served:
            if served is not None and self.bundle:
                assert not served.fault_at(self.now)
                assert trusted([Target("x", (self.bundle,))], served.root), "a request would be refused"


def _pair(material: Material | None) -> Pair | None:
    return None if material is None else material.pair


def test_in_twelve_years_no_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "KEY_BITS", 1024)  # some thirty keys are made
    world = World()
    world.rest()
    assert world.writes == 1
    first = world.data
    end = NOW + 12 * 365 * DAY
    while world.now < end:
        world.now += 60 * DAY
        world.check()
        world.rest()
        world.now += RULES.settle
        world.rest()
        world.now += RULES.overlap
        world.rest()
    assert world.data is not None
    assert first is not None
    assert world.data["ca.crt"] != first["ca.crt"]
    assert certificates(world.data["ca.crt"]) == 1
    assert 15 < world.writes < 25, "a certificate each nine months, an authority each ten years"
