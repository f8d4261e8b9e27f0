"""The pages about events and conditions name all that the code says, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from metallb.advertisement.conflicts import CONTESTED, HELD
from metallb.advertisement.reasons import (
    NoAdvertisement,
    NoCandidate,
    NoInterface,
    NoServingEndpoint,
    SharedWithSelectors,
)
from metallb.advertisement.reasons import Reason as Unannounced
from metallb.allocator.reasons import (
    AddressTaken,
    FamiliesUnclear,
    FamilyMismatch,
    FamilyMissing,
    NoClusterAddress,
    NoPools,
    NothingLeft,
    NotInOnePool,
    NotInPool,
    PoolClosed,
    PoolDraining,
    PoolExhausted,
    PoolNotAutomatic,
    PoolUnknown,
    QuotaReached,
    Reason,
    RequestMalformed,
    StatusUnclear,
)
from metallb.api.net import Address, InterfaceName, ServiceKey
from metallb.operator.conditions import TYPES
from metallb.operator.reconciler import FAILED, FAILOVER, INVALID

ROOT = Path(__file__).resolve().parents[3]
EVENTS = (ROOT / "docs" / "reference" / "events.md").read_text()
CONDITIONS = (ROOT / "docs" / "reference" / "conditions.md").read_text()
FIRST_CELL = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)

ONE = Address.parse("198.51.100.7")
SERVICE = ServiceKey("default", "web")
WORDS: list[tuple[Reason, str]] = [
    (NoPools(), "there is no address pool: create an IPAddressPool"),
    (NoClusterAddress(), "the Service has no cluster IP, so it is not known whether it wants IPv4 or IPv6"),
    (FamiliesUnclear(("198.18.0.1",), "RequireDualStack"), "do not fit ipFamilyPolicy"),
    (RequestMalformed("a", "b", "must be IP addresses, separated by commas"), "must be IP addresses, separated by"),
    (PoolUnknown("a"), "unknown pool 'a'"),
    (
        PoolClosed("a", ServiceKey("namespace", "name"), "namespace"),
        "pool 'a' is not open to namespace/name (spec.serviceAllocation leaves out its namespace)",
    ),
    (PoolExhausted("a", (4,)), "no available IPs in pool 'a' for IPv4"),
    (PoolNotAutomatic("a"), "pool 'a' has autoAssign: false"),
    (PoolDraining("a"), "pool 'a' is drained and gives nothing new (metallb.io/drain)"),
    (FamilyMissing("a", (6,)), "pool 'a' has no addresses of IPv6"),
    (
        QuotaReached("a", "namespace", 3),
        "namespace 'namespace' may hold 3 addresses of pool 'a' (metallb.io/quota-per-namespace)",
    ),
    (NothingLeft((4,), (PoolExhausted("a", (4,)), PoolExhausted("b", (4,)))), "(all IPv4 in use: a, b"),
    (
        NothingLeft((4,), (PoolExhausted("a", (4,)), PoolExhausted("b", (4,)), PoolNotAutomatic("c")), 12),
        "no available IPs for IPv4 (all IPv4 in use: a, b; autoAssign: false: c; and 12 more pools)",
    ),
    *(
        (NothingLeft((4,), (each,)), f"`{each.cause}: a`")
        for each in (
            PoolExhausted("a", (4,)),
            QuotaReached("a", "n", 1),
            PoolClosed("a", SERVICE, "namespace"),
            PoolClosed("a", SERVICE, "labels"),
            PoolNotAutomatic("a"),
            PoolDraining("a"),
            FamilyMissing("a", (6,)),
        )
    ),
    (NotInOnePool((ONE,)), "198.51.100.7 is not offered by any pool"),
    (NotInOnePool((ONE, ONE)), "are not offered by one pool"),
    (NotInPool((ONE,), "a"), "198.51.100.7 is not in pool 'a', which the Service asks for"),
    (AddressTaken(ONE, ServiceKey("namespace", "name"), ""), "198.51.100.7 is in use by namespace/name:"),
    (FamilyMismatch((ONE,), (4,)), "does not fit a Service of IPv4"),
    (StatusUnclear((ONE, ONE)), "but a Service holds at most one address of each family"),
]
TOLD: list[tuple[Unannounced, str]] = [
    (NoServingEndpoint(), "no endpoint of the Service is ready: look at its pods"),
    (NoCandidate(local=True), "no node has both a speaker and a ready endpoint (externalTrafficPolicy Local)"),
    (NoCandidate(local=False), "no node with a speaker may announce"),
    (NoInterface((InterfaceName("eth9"),), (ONE,)), "this node has none of the interfaces"),
    (NoAdvertisement("a"), "no L2Advertisement announces pool 'a' for this Service from this node"),
    (SharedWithSelectors("a"), "L2Advertisement 'a' has service selectors, which exclude Services with the annotation"),
]


def sources(*folders: str) -> str:
    found: Iterable[Path] = (path for folder in folders for path in (ROOT / "src" / "metallb" / folder).glob("*.py"))
    return "\n".join(path.read_text() for path in found)


def test_every_event_is_on_the_page_and_no_other() -> None:
    said = set(re.findall(r'"(?:Normal|Warning)",\s*"((?!Warning)\w+)"', sources("controller", "speaker")))
    assert len(said) > 5
    assert set(FIRST_CELL.findall(EVENTS)) == said


def test_every_reason_of_a_degraded_resource_and_of_a_conflict_is_on_the_page_and_no_other() -> None:
    text = sources("operator")
    said = {FAILED, INVALID, FAILOVER, *re.findall(r'Degraded\(\s*"(\w+)"', text)}
    said |= set(re.findall(r'yield "([A-Z]\w+)", f"', text))  # of pods
    assert len(said) > 8
    assert set(FIRST_CELL.findall(CONDITIONS)) == said | set(TYPES) | {HELD, CONTESTED}


@pytest.mark.parametrize(("reason", "words"), [*WORDS, *TOLD], ids=lambda each: type(each).__name__)
def test_the_words_on_the_page_are_those_of_the_event(reason: Reason | Unannounced, words: str) -> None:
    assert words.strip("`") in str(reason)
    assert words in EVENTS


def test_no_reason_is_missing() -> None:
    assert {type(reason) for reason, _ in WORDS} == set(get_args(Reason))
