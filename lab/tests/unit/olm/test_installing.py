"""What a ClusterServiceVersion's Deployments become."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.olm import installing
from kubelab.olm.installing import Certificate

Object = dict[str, Any]
CERTIFICATE = Certificate(b"cert", b"key", b"authority")
CSV: Object = {
    "apiVersion": "operators.coreos.com/v1alpha1",
    "kind": "ClusterServiceVersion",
    "metadata": {"name": "x.v1", "namespace": "own", "uid": "1"},
    "spec": {"install": {}},
}


def wanted(**pod: Any) -> Object:
    template = {"spec": {"containers": [{"name": "main", "image": "x:1"}], **pod}}
    return {
        "name": "x",
        "label": {"app": "x"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }


def pod_of(*, certificate: Certificate | None = None, **pod: Any) -> Object:
    made = installing.deployment_of(CSV, wanted(**pod), {"a": "b"}, certificate)
    found: Object = made["spec"]["template"]
    return found


@pytest.mark.parametrize(
    ("security", "user"),
    [
        ({"runAsNonRoot": True}, 1_000_650_000),
        ({"runAsNonRoot": True, "runAsUser": 7}, 7),
        ({}, None),
    ],
)
def test_a_pod_that_must_not_be_root_and_names_no_user_gets_one(security: Object, user: int | None) -> None:
    assert pod_of(securityContext=security)["spec"]["securityContext"].get("runAsUser") == user


def test_a_certificate_takes_the_place_of_a_mount_at_the_same_path() -> None:
    container = {
        "name": "main",
        "image": "x:1",
        "volumeMounts": [
            {"name": "cert", "mountPath": "/tmp/k8s-webhook-server/serving-certs"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    template = pod_of(certificate=CERTIFICATE, containers=[container], volumes=[{"name": "data"}])
    mounts = template["spec"]["containers"][0]["volumeMounts"]
    assert [(each["name"], each["mountPath"]) for each in mounts] == [
        ("data", "/data"),
        ("apiservice-cert", "/apiserver.local.config/certificates"),
        ("webhook-cert", "/tmp/k8s-webhook-server/serving-certs"),
    ]
    assert [each["name"] for each in template["spec"]["volumes"]] == ["data", "apiservice-cert", "webhook-cert"]
    assert template["metadata"]["annotations"]["olmcahash"]


def test_without_webhooks_there_is_no_certificate() -> None:
    template = pod_of()
    assert "volumes" not in template["spec"]
    assert template["metadata"]["annotations"] == {"a": "b"}


def test_what_is_wanted_stays_as_it_was() -> None:
    given = wanted(securityContext={"runAsNonRoot": True})
    installing.deployment_of(CSV, given, {}, CERTIFICATE)
    assert given == wanted(securityContext={"runAsNonRoot": True})


def test_a_secret_holds_a_whole_certificate_or_none() -> None:
    secret = installing.secret(CSV, "x", CERTIFICATE)
    assert Certificate.of(secret) == CERTIFICATE
    del secret["data"]["olmCAKey"]
    assert Certificate.of(secret) is None


def test_webhooks_of_one_port_share_it() -> None:
    csv = CSV | {
        "spec": {"webhookdefinitions": [{"deploymentName": "x"}, {"deploymentName": "x", "targetPort": 9443}] * 2}
    }
    ports = installing.service(csv, wanted())["spec"]["ports"]
    assert ports == [
        {"name": "443", "port": 443, "targetPort": 443},
        {"name": "443", "port": 443, "targetPort": 9443},
    ]
