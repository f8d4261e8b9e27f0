"""Where a version may be, and whether its Deployments are ready, in OLM's words."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.olm import judging
from kubelab.olm.names import generated, package_label

Object = dict[str, Any]
ALL = {"AllNamespaces"}


def csv(supported: set[str]) -> Object:
    modes = ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
    return {
        "metadata": {"name": "x.v1", "namespace": "own"},
        "spec": {"installModes": [{"type": each, "supported": each in supported} for each in modes]},
    }


def group(*targets: str) -> Object:
    return {"spec": {"targetNamespaces": list(targets)} if targets else {}}


@pytest.mark.parametrize(
    ("supported", "targets", "words"),
    [
        (ALL, (), ""),
        (set[str](), (), "AllNamespaces InstallModeType not supported, cannot configure to watch all namespaces"),
        (ALL, ("own",), "OwnNamespace InstallModeType not supported, cannot configure to watch own namespace"),
        ({"OwnNamespace"}, ("own",), ""),
        (ALL, ("a",), "SingleNamespace InstallModeType not supported, cannot configure to watch one namespace"),
        ({"SingleNamespace"}, ("a",), ""),
        (ALL, ("a", "b"), "MultiNamespace InstallModeType not supported, cannot configure to watch 2 namespaces"),
        ({"MultiNamespace"}, ("a", "b"), ""),
        (
            {"MultiNamespace"},
            ("own", "b"),
            "OwnNamespace InstallModeType not supported, cannot configure to watch own namespace",
        ),
    ],
)
def test_a_group_asks_for_a_mode(supported: set[str], targets: tuple[str, ...], words: str) -> None:
    found = judging.misplaced(csv(supported), [group(*targets)])
    assert (found.message if found else "") == words


def test_a_namespace_has_one_group() -> None:
    none, two = judging.misplaced(csv(ALL), []), judging.misplaced(csv(ALL), [group(), group()])
    assert none is not None
    assert two is not None
    assert (none.reason, two.reason) == ("NoOperatorGroup", "TooManyOperatorGroups")


def deployment(**status: Any) -> Object:
    return {"metadata": {"name": "d", "generation": 2}, "status": {"observedGeneration": 2} | status}


AVAILABLE = {"type": "Available", "status": "True", "message": ""}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "missing deployment with name=d"),
        (deployment(observedGeneration=1), 'waiting for spec update of deployment "d" to be observed...'),
        (deployment(replicas=2, updatedReplicas=1), "waiting for 1 outdated replica(s) to be terminated"),
        (deployment(), 'deployment "d" not available: missing condition "Available"'),
        (
            deployment(conditions=[AVAILABLE | {"status": "False", "message": "too few"}]),
            'deployment "d" not available: too few',
        ),
        (deployment(conditions=[AVAILABLE]), ""),
    ],
)
def test_a_deployment_is_ready_or_it_is_said_why_not(found: Object | None, words: str) -> None:
    said = judging.readiness("d", found)
    assert (said.ready, said.message.endswith(words), said.given_up) == (not words, True, False)


def test_names_are_as_long_as_labels_may_be() -> None:
    name = generated("metallb-operator.v5.0.0-controller", {"rules": []})
    assert name.startswith("metallb-operator.v5.0.0-")
    assert len(name) == 63
    assert generated("a", 1) != generated("a", 2)
    label = package_label("metallb-operator", "n" * 63)
    assert len(label.partition("/")[2]) == 63


def test_what_an_operator_offers_is_listed_by_kind_version_and_group() -> None:
    owned = [{"name": "bs.x.io", "kind": "B", "version": "v1"}, {"name": "as.x.io", "kind": "A", "version": "v2"}]
    assert judging.provided_apis([{"spec": {"customresourcedefinitions": {"owned": owned}}}]) == "A.v2.x.io,B.v1.x.io"
