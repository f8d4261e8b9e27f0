"""What upstream's webhooks refused and accepted, under three backends: the same verdicts, with the exceptions listed here.

Each webhook of upstream looks at a few kinds only and leaves out what could be a matter of order; so does this replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.conversion import convert
from metallb.config.backends import Backend
from metallb.config.build import Build, Snapshot, build

Objects = Mapping[tuple[str, str], dict[str, Any]]

FIELDS: dict[str, tuple[str, Any]] = {
    "IPAddressPool": ("pools", v1beta1.IPAddressPool),
    "L2Advertisement": ("l2_advertisements", v1beta1.L2Advertisement),
    "BGPAdvertisement": ("bgp_advertisements", v1beta1_bgp.BGPAdvertisement),
    "BGPPeer": ("peers", v1beta2.BGPPeer),
    "Community": ("communities", v1beta1_bgp.Community),
}
LOOKS_AT = {
    "IPAddressPool": ("IPAddressPool",),
    "L2Advertisement": ("L2Advertisement", "IPAddressPool"),
    "BGPAdvertisement": ("BGPAdvertisement", "IPAddressPool"),
    "BGPPeer": ("BGPPeer",),
    "Community": ("Community",),
}
NODES = {name: {"kubernetes.io/hostname": name} for name in ("n1", "n2")}


def blanked(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """The object without what upstream's webhooks leave out."""
    if kind == "BGPPeer":
        body = convert(body, v1beta2.API_VERSION)
        return body | {"spec": {k: v for k, v in body["spec"].items() if k not in {"bfdProfile", "passwordSecret"}}}
    if kind == "BGPAdvertisement":
        kept = [each for each in body["spec"].get("communities", []) if ":" in each]
        return body | {"spec": body["spec"] | {"communities": kept}}
    return body


def judged(objects: Objects, kind: str, backend: Backend) -> Build:
    fields = {
        FIELDS[each][0]: [
            msgspec.convert(blanked(each, body), FIELDS[each][1]) for key, body in objects.items() if key[0] == each
        ]
        for each in LOOKS_AT[kind]
    }
    return build(Snapshot(**fields, nodes=NODES, backend=backend))


def requests(rows: list[Any]) -> Iterator[tuple[dict[str, Any], Objects]]:
    """Each create and update, and the cluster as it would be after it."""
    stories: dict[int, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in rows:
        story = stories.setdefault(row["story"], {})
        key = (row["kind"], row.get("name") or row["body"]["metadata"]["name"])
        if row["method"] == "DELETE":
            story.pop(key)
        elif row["method"] in {"POST", "PATCH spec"}:
            body = row["body"] if row["method"] == "POST" else story[key] | {"spec": row["spec"]}
            after = story | {key: body}
            if row["kind"] in FIELDS and row["status"] != 422:
                yield row, after
            if row["status"] < 300:
                stories[row["story"]] = after


def exception(row: dict[str, Any], built: Build) -> str:
    """Why a verdict may differ: the rules that upstream breaks (spec/crds.md 13, points 1 and 4)."""
    if any("goes from IPv4 to IPv6" in error.rule for error in built.errors):
        return "a range from IPv4 to IPv6 has no addresses upstream, and is refused here"
    spec = row["body"]["spec"] if "body" in row else row["spec"]
    if row["method"] == "POST" and spec.get("disableMP"):
        return "upstream creates a peer with disableMP unseen, and it is checked here"
    return ""


@pytest.mark.parametrize(
    ("backend", "requested", "ranges", "unseen"), [("native", 141, 4, 5), ("frr", 144, 0, 3), ("frr-k8s", 151, 3, 4)]
)
def test_verdicts_are_upstreams(
    recorded: Callable[[str], Any], backend: Backend, requested: int, ranges: int, unseen: int
) -> None:
    seen: Counter[str] = Counter()
    for row, after in requests(recorded(f"webhooks/{backend}.jsonl")):
        built = judged(after, row["kind"], backend)
        seen["requests"] += 1
        if (built.config is None) != (row["status"] == 403):
            reason = exception(row, built)
            assert reason, (row, built.errors)
            seen[reason.split()[0]] += 1
    assert (seen["requests"], seen["a"], seen["upstream"]) == (requested, ranges, unseen)
