"""Thirty stories under upstream's webhooks, told to ours: the same verdicts by the same rules, and every exception.

Each request is judged with all objects of its story there, as a cluster has them; upstream's webhooks look at some
kinds only. What upstream let in gets in here too, so that the story goes on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metallb.api import duration
from metallb.api.conversion import convert
from metallb.api.core import Node
from metallb.api.v1beta1 import IPAddressPool, L2Advertisement
from metallb.api.v1beta1_bgp import BFDProfile, BGPAdvertisement, Community
from metallb.api.v1beta2 import BGPPeer
from metallb.config.backends import Backend
from metallb.config.build import Snapshot
from metallb.config.change import FIELDS, Change, Verdict
from metallb.config.index import Index
from metallb.config.judging import NAMESPACE, judge
from metallb.config.surroundings import NodeFacts, Surroundings

FOLDER = Path(__file__).parent / "webhooks"
BACKENDS: tuple[Backend, ...] = ("native", "frr", "frr-k8s")
MODELS: Mapping[str, Any] = {
    "IPAddressPool": IPAddressPool,
    "L2Advertisement": L2Advertisement,
    "BGPAdvertisement": BGPAdvertisement,
    "BGPPeer": BGPPeer,
    "BFDProfile": BFDProfile,
    "Community": Community,
}
TIMERS = ("holdTime", "keepaliveTime")

RULES = [
    # IPAddressPool
    (r"overlaps with already defined CIDR", r"spec\.addresses\[\d\]", r"^overlaps "),
    (r"start IP .* is after the end IP", r"spec\.addresses\[\d\]", r"^starts at .* after its end"),
    (r"duplicate definition in namespaces field", r"spec\.serviceAllocation\.namespaces\[\d\]", r"^is there twice"),
    (r"definition of namespaceSelectors", r"spec\.serviceAllocation\.namespaceSelectors\[\d\]", r"^repeats an earlier"),
    # both advertisements
    (r"duplicate definition of ipAddressPools", r"spec\.ipAddressPools\[\d\]", r"^is there twice"),
    (r"duplicate definition of ipAddressPoolSelectors", r"spec\.ipAddressPoolSelectors\[\d\]", r"^repeats an earlier"),
    (r"duplicate definition of nodeSelectors", r"spec\.nodeSelectors\[\d\]", r"^repeats an earlier"),
    # BGPAdvertisement
    (r"duplicate definition of peers", r"spec\.peers\[\d\]", r"^is there twice"),
    (r"ba\d.* duplicate definition of community", r"spec\.communities\[\d\]", r"^is there twice"),
    (r"invalid aggregation length '.*' for IPv4", r"spec\.aggregationLength", r"^must be from 1 to 32"),
    (r"invalid aggregation length '.*' for IPv6", r"spec\.aggregationLengthV6", r"^must be from 0 to 128"),
    (
        r"more specific than the aggregation length",
        r"spec\.aggregationLength",
        r"^is wider than .*, whose widest block",
    ),
    (r"invalid local preference", r"spec\.localPref", r"^differs from .* for the same blocks, peers and nodes"),
    (r"ba\d.* invalid community format", r"spec\.communities\[\d\]", r"^is (neither a|no) community"),
    (r"ba\d.* invalid community value", r"spec\.communities\[\d\]", r"^has the part"),
    (r"BGP advertisement .* has non legacy community", r"spec\.communities\[\d\]", r"^is a large community"),
    (r"native bgp mode does not support ipv6", r"spec\.ipAddressPools", r"can't announce IPv6"),
    # Community
    (r"c\d.* invalid community format", r"spec\.communities\[\d\]\.value", r"^is no community"),
    (r"c\d.* invalid community value", r"spec\.communities\[\d\]\.value", r"^has the part"),
    (r"c\d.* duplicate definition of community", r"spec\.communities\[\d\]\.name", r"^is (there twice|given by)"),
    (r"community CR .* has non legacy community", r"spec\.communities\[\d\]\.value", r"^is a large community"),
    # BGPPeer
    (r"missing local ASN", r"spec\.myASN", r"^must be from 1"),
    (r"both peer ASN and dynamicASN", r"spec\.dynamicASN", r"^stands beside peerASN"),
    (r"both Address and Interface", r"spec\.interface", r"^stands beside peerAddress"),
    (r"invalid BGPPeer address", r"spec\.peerAddress", r"^is no IP address"),
    (r"invalid router ID", r"spec\.routerID", r"^is no IP address"),
    (r"invalid hold time", r"spec\.holdTime", r"^must be 0s, or from 3s"),
    (r"invalid ebgp-multihop", r"spec\.ebgpMultiHop", r"^is for routers of another"),
    (r"has RouterID different", r"spec\.routerID", r"^(differs from|is no IP address)"),
    (r"has myAsn different", r"spec\.myASN", r"^(differs from|must be from 1)"),
    (r"FRR mode doesn't support duplicate", r"spec\.(peerAddress|interface)", r"^is the router of .* too"),
    (r"has EnableGracefulRestart flag", r"spec\.enableGracefulRestart", r"which backend native can't do"),
    (r"has disable MP flag", r"spec\.disableMP", r"which backend native can't do"),
    (r"has connect time set", r"spec\.connectTime", r"which backend native can't do"),
    (r"has dynamicASN set", r"spec\.dynamicASN", r"which backend native can't do"),
    (r"has interface set", r"spec\.interface", r"which backend native can't do"),
    (r"has keepalive-time set", r"spec\.keepaliveTime", r"which backend native can't do"),
    (r"has vrf set", r"spec\.vrf", r"which backend native can't do"),
]
"""Upstream's words for a rule (after the object's name), and the field and rule of our error. Of several upstream tells one."""

REFUSED_HERE = {
    "peers with disableMP are created unseen upstream, and checked here like all others (spec/crds.md 13, 4)": (
        "native:7 native:14 native:104 native:164 native:193 frr:86 frr:92 frr:145 "
        "frr-k8s:45 frr-k8s:58 frr-k8s:138 frr-k8s:173"
    ),
    "a BFDProfile makes every speaker with backend native stop upstream (spec/crds.md 11, consequences)": (
        "native:9 native:29 native:31 native:35 native:44 native:66 native:70 native:107 native:126 native:129 "
        "native:132 native:134 native:153 native:176 native:178 native:195"
    ),
    "a pool that breaks a rule of an advertisement makes every speaker stop upstream (spec/crds.md 13, 6)": (
        "native:16 native:190 frr-k8s:44 frr-k8s:49 frr-k8s:53"
    ),
    "a range from IPv4 to IPv6 has no addresses upstream (spec/crds.md 13, 1)": "native:162 frr-k8s:70",
}
"""By file and line: accepted upstream."""

ACCEPTED_HERE = {
    "upstream blames whatever comes next for what is wrong already": "frr-k8s:47 frr-k8s:52 frr-k8s:177",
}
"""By file and line: refused upstream."""

REFUSED_FOR_ITS_OWN_FAULT = {
    "upstream tells of another object that is wrong already, before it comes to the one that is asked for": (
        "native:108 native:113 native:115 native:116 native:118 frr-k8s:50"
    ),
}
"""By file and line: refused by both, by different rules."""


def lines(reasons: Mapping[str, str]) -> set[str]:
    return set(" ".join(reasons.values()).split())


@dataclass
class Story:
    """A cluster as upstream left it, and the index that was told all of it."""

    backend: Backend
    index: Index
    nodes: Mapping[str, Node]
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def begin(cls, backend: Backend) -> Story:
        nodes = {}
        for name, address in (("n1", "198.51.3.77"), ("n2", "203.0.113.9")):
            written = {
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"addresses": [{"type": "InternalIP", "address": address}]},
            }
            nodes[name] = msgspec.convert(written, Node)
        index = Index(backend)
        for node in nodes.values():
            index.put_node(node)
        return cls(backend, index, nodes)

    def change(self, row: Mapping[str, Any]) -> tuple[Change, dict[str, Any] | None]:
        """What a request would do, and the object that would be stored."""
        kind, name = row["kind"], row.get("name") or row["body"]["metadata"]["name"]
        before = self.objects.get((kind, name))
        after = row.get("body")
        if row["method"] == "PATCH spec":
            assert before is not None
            after = before | {"spec": row["spec"]}
        return Change(kind, NAMESPACE, name, model(kind, before), model(kind, after)), after

    def from_scratch(self, change: Change) -> Verdict:
        fields: dict[str, Any] = {
            of: [model(kind, each) for key, each in self.objects.items() if key[0] == kind]
            for kind, of in FIELDS.items()
        }
        labels = {name: node.metadata.labels for name, node in self.nodes.items()}
        facts = {name: NodeFacts.of(node) for name, node in self.nodes.items()}
        return judge(Snapshot(**fields, nodes=labels, backend=self.backend), Surroundings(facts), change)

    def store(self, change: Change, after: dict[str, Any] | None) -> None:
        if after is None or change.after is None:
            del self.objects[change.kind, change.name]
            self.index.remove(*change.object)
        else:
            self.objects[change.kind, change.name] = after
            self.index.put(change.after)


def model(kind: str, written: Mapping[str, Any] | None) -> Any:
    """The object as it is read, with the API server's defaults where the models have the same."""
    return None if written is None else msgspec.convert(written, MODELS[kind])


def rows(backend: Backend) -> Iterator[tuple[str, Story, dict[str, Any]]]:
    """Every request with its place, and the story up to it."""
    story, number = Story.begin(backend), 0
    for line, text in enumerate((FOLDER / f"{backend}.jsonl").read_text().splitlines(), 1):
        row = json.loads(text)
        if row["story"] != number:
            story, number = Story.begin(backend), row["story"]
        yield f"{backend}:{line}", story, row


def judged(backend: Backend) -> Iterator[tuple[str, dict[str, Any], Verdict]]:
    """The webhook's verdicts. Where upstream's schema refuses, no webhook is asked: it refuses every localASN."""
    for place, story, row in rows(backend):
        if row["method"].startswith("GET"):
            continue
        if row["status"] == 422:
            assert re.search(r"of type integer with format int32 in spec\.localASN", row["message"]), row
            continue
        change, after = story.change(row)
        verdict = story.index.judge(change)
        assert verdict == story.from_scratch(change), place
        yield place, row, verdict
        if row["status"] < 300:
            story.store(change, after)


@pytest.mark.parametrize(("backend", "refused"), [("native", 74), ("frr", 81), ("frr-k8s", 79)])
def test_the_same_is_refused_by_the_same_rule(backend: Backend, refused: int) -> None:
    seen: Counter[bool] = Counter()
    for place, row, verdict in judged(backend):
        if row["status"] == 403 and place not in lines(ACCEPTED_HERE):
            name = row.get("name") or row["body"]["metadata"]["name"]
            message = f"{name}: {row['message'].split('denied the request: ')[1]}"
            same = breaks_the_same_rule(message, verdict)
            assert same is (place not in lines(REFUSED_FOR_ITS_OWN_FAULT)), (place, message, verdict)
            seen[same] += 1
    assert seen[True] == refused


def breaks_the_same_rule(message: str, verdict: Verdict) -> bool:
    for words, path, rule in RULES:
        if re.search(words, message, re.DOTALL):
            return any(re.fullmatch(path, each.field) and re.search(rule, each.rule) for each in verdict.errors)
    raise AssertionError(f"no rule for {message}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_is_accepted_save_for_the_exceptions(backend: Backend) -> None:
    other = {place for place, row, verdict in judged(backend) if verdict.allowed != (row["status"] < 300)}
    listed = lines(REFUSED_HERE) | lines(ACCEPTED_HERE)
    assert other == {place for place in listed if place.startswith(f"{backend}:")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_peers_are_shown_in_both_versions_as_upstream_shows_them(backend: Backend) -> None:
    """Save for timers of v1beta1: upstream writes absent ones as `0s`, which turns them off (spec/crds.md 13, 2)."""
    shown = 0
    for _, story, row in rows(backend):
        if row["method"] == "GET v1beta1":
            stored = story.objects["BGPPeer", row["name"]]
            spec = convert(stored, "metallb.io/v1beta1")["spec"]
            expected = {"peerPort": 179} | spec
            assert without_timers(expected) == without_timers(row["spec"])
            for timer in TIMERS:
                assert duration.parse(row["spec"][timer]) == duration.parse(spec.get(timer, "0s"))
            shown += 1
        elif row["method"] == "GET v1beta2":
            defaults = {"disableMP": False, "dualStackAddressFamily": False, "peerPort": 179}
            assert defaults | story.objects["BGPPeer", row["name"]]["spec"] == row["spec"]
            shown += 1
        elif row["status"] < 300:
            story.store(*story.change(row))
    assert shown > 15


def without_timers(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in TIMERS}


@pytest.mark.parametrize("reason", [*REFUSED_HERE, *ACCEPTED_HERE, *REFUSED_FOR_ITS_OWN_FAULT])
def test_the_page_of_differences_tells_each_reason(reason: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "differences.md").read_text()
    assert reason.partition(" (spec")[0] in page
