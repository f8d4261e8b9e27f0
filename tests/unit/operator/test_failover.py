"""IP failover is known by what it runs, whatever it is called and wherever it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from metallb.operator.failover import Suspect, found, message


def suspect(image: str = "example.org/web:1", *variables: str, name: str = "ipf", **metadata: Any) -> Suspect:
    container = {"name": "c", "image": image, "env": [{"name": each, "value": "x"} for each in variables]}
    body = {
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"template": {"spec": {"containers": [{"name": "first", "image": "x"}, container]}}},
    }
    return msgspec.convert(body, Suspect)


@pytest.mark.parametrize(
    ("image", "variables", "is_one"),
    [
        ("quay.io/openshift/origin-keepalived-ipfailover:4.14", (), True),
        ("quay.io/openshift/origin-keepalived-ipfailover", (), True),
        ("registry.example:5000/openshift4/ose-keepalived-ipfailover@sha256:abc", (), True),
        ("mirror/own-name:1", ("OPENSHIFT_HA_CONFIG_NAME",), True),
        ("mirror/own-name:1", ("OPENSHIFT_HA_VIRTUAL_IPS", "OTHER"), True),
        ("quay.io/example/keepalived:2", (), False),
        ("keepalived-ipfailover.example.org/web:1", ("HA_VIRTUAL_IPS",), False),
        ("", (), False),
    ],
)
def test_it_is_known_by_its_image_and_variables(image: str, variables: tuple[str, ...], *, is_one: bool) -> None:
    assert suspect(image, *variables).is_failover is is_one


def test_one_that_is_on_its_way_out_counts_no_more() -> None:
    assert not suspect("x", "OPENSHIFT_HA_REPLICAS", deletionTimestamp="2026-01-01T00:00:00Z").is_failover


def test_what_has_to_be_removed_is_named_as_kubectl_takes_it() -> None:
    present = found("Deployment", [suspect("x", "OPENSHIFT_HA_A", name=name) for name in ("b", "a")] + [suspect()])
    assert present == ("deployment a -n default", "deployment b -n default")
    assert message(present, installed=False) == (
        "IP failover is configured in this cluster, and MetalLB can't work beside it: remove it "
        "(kubectl delete deployment a -n default; kubectl delete deployment b -n default); "
        "MetalLB is installed as soon as it is gone"
    )
    assert message(present, installed=True).endswith("what runs goes on")
