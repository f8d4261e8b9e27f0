"""Unmodified kubectl, old and new, doing what people do with it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import pytest

Kubectl = Callable[..., str]

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, labels: {tier: front}}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gears.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: gears, kind: Gear}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Teeth, type: integer, jsonPath: .spec.teeth}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {teeth: {type: integer, description: How many it has., maximum: 99}}
"""
GEAR = """
apiVersion: GROUP/v1
kind: Gear
metadata: {name: NAME}
spec: {teeth: TEETH}
"""


@pytest.fixture
def space(kubectl: Kubectl) -> Iterator[str]:
    name = f"kubectl-{uuid.uuid4().hex[:8]}"  # noqa: TID251  # a name no other run has
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def gears(kubectl: Kubectl, space: str) -> Iterator[str]:
    group = f"{space}.example.org"
    kubectl("apply", "-f", "-", stdin=DEFINITION.replace("GROUP", group))
    kubectl("wait", "--for=condition=established", f"crd/gears.{group}", "--timeout=60s")
    yield group
    kubectl("delete", "crd", f"gears.{group}")


def test_apply_creates_configures_and_leaves_alone(kubectl: Kubectl, space: str) -> None:
    outputs = [
        kubectl("apply", "-n", space, "-f", "-", stdin=text)
        for text in (SERVICE, SERVICE, SERVICE.replace("8080", "8081"))
    ]
    assert outputs == ["service/web created\n", "service/web unchanged\n", "service/web configured\n"]
    port = kubectl("get", "svc", "web", "-n", space, "-o", "jsonpath={.spec.ports[0].targetPort}")
    assert port == "8081"


def test_get_prints_in_every_form(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-n", space, "-f", "-", stdin=SERVICE)
    table = kubectl("get", "svc", "-n", space, "-o", "wide").splitlines()
    assert table[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"]
    assert table[1].split()[0::3] == ["web", "<pending>", "app=web"]
    assert json.loads(kubectl("get", "svc", "web", "-n", space, "-o", "json"))["kind"] == "Service"
    assert "kind: Service" in kubectl("get", "svc", "web", "-n", space, "-o", "yaml")
    columns = kubectl("get", "svc", "-n", space, "-o", "custom-columns=N:.metadata.name,T:.spec.type")
    assert columns.split() == ["N", "T", "web", "LoadBalancer"]
    assert "tier=front" in kubectl("get", "svc", "-n", space, "-l", "tier=front", "--show-labels")
    assert kubectl("get", "svc", "-n", space, "--sort-by=.metadata.name", "-o", "name") == "service/web\n"


def test_describe_shows_the_object(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-n", space, "-f", "-", stdin=SERVICE)
    lines = kubectl("describe", "svc", "web", "-n", space).splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    assert facts["Type"].strip() == "LoadBalancer"
    assert facts["TargetPort"].strip() == "8080/TCP"


def test_a_watch_prints_until_its_time_is_up(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-n", space, "-f", "-", stdin=SERVICE)
    for seconds in (1, 10, 60):
        if "web" in kubectl("get", "svc", "-n", space, "-w", f"--request-timeout={seconds}s", check=False):
            return
    pytest.fail("nothing is printed")


def test_explain_knows_built_in_and_custom_fields(kubectl: Kubectl, gears: str) -> None:
    assert "determines how the Service is exposed" in kubectl("explain", "service.spec.type")
    text = kubectl("explain", "gear.spec.teeth", f"--api-version={gears}/v1")
    assert "How many it has." in text


def test_custom_objects_are_applied_checked_and_shown(kubectl: Kubectl, space: str, gears: str) -> None:
    text = GEAR.replace("GROUP", gears).replace("NAME", "a")
    kubectl("apply", "-n", space, "-f", "-", stdin=text.replace("TEETH", "7"))
    kubectl("apply", "-n", space, "-f", "-", stdin=text.replace("TEETH", "8"))
    table = kubectl("get", f"gears.{gears}", "-n", space).split()
    assert table == ["NAME", "TEETH", "a", "8"]
    refused = kubectl("apply", "-n", space, "-f", "-", stdin=text.replace("TEETH", "100"), check=False)
    assert "spec.teeth in body should be less than or equal to 99" in refused


def test_server_side_apply_tells_conflicts(kubectl: Kubectl, space: str, gears: str) -> None:
    text = GEAR.replace("GROUP", gears).replace("NAME", "b")
    kubectl("apply", "--server-side", "-n", space, "-f", "-", stdin=text.replace("TEETH", "7"))
    other = ("apply", "--server-side", "--field-manager=other", "-n", space, "-f", "-")
    refused = kubectl(*other, stdin=text.replace("TEETH", "8"), check=False)
    assert "conflict" in refused
    kubectl(*other, "--force-conflicts", stdin=text.replace("TEETH", "8"))


def test_dry_runs_and_diffs_change_nothing(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-n", space, "--dry-run=server", "-f", "-", stdin=SERVICE)
    assert "not found" in kubectl("get", "svc", "web", "-n", space, check=False)
    kubectl("apply", "-n", space, "-f", "-", stdin=SERVICE)
    difference = kubectl("diff", "-n", space, "-f", "-", stdin=SERVICE.replace("8080", "8081"), check=False)
    assert "+    targetPort: 8081" in difference


def test_small_edits_reach_the_object(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-n", space, "-f", "-", stdin=SERVICE)
    kubectl("label", "svc", "web", "-n", space, "a=b")
    kubectl("annotate", "svc", "web", "-n", space, "c=d")
    kubectl("patch", "svc", "web", "-n", space, "--type=merge", "-p", '{"spec":{"externalTrafficPolicy":"Local"}}')
    kubectl("patch", "svc", "web", "-n", space, "-p", '{"spec":{"ports":[{"port":81,"name":"more"}]}}')
    found = json.loads(kubectl("get", "svc", "web", "-n", space, "-o", "json"))
    assert found["metadata"]["labels"]["a"] == "b"
    assert found["metadata"]["annotations"]["c"] == "d"
    assert found["spec"]["externalTrafficPolicy"] == "Local"
    assert [port["port"] for port in found["spec"]["ports"]] == [81, 80]


def test_generators_and_scale_work(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "deployment", "demo", "-n", space, "--image=example.org/demo:1")
    kubectl("create", "configmap", "c", "-n", space, "--from-literal=a=b")
    kubectl("create", "service", "clusterip", "s", "-n", space, "--tcp=80:8080")
    kubectl("scale", "deployment/demo", "-n", space, "--replicas=0")
    assert kubectl("get", "deploy", "demo", "-n", space, "-o", "jsonpath={.spec.replicas}") == "0"
    assert kubectl("get", "cm", "c", "-n", space, "-o", "jsonpath={.data.a}") == "b"
    assert kubectl("get", "svc", "s", "-n", space, "-o", "jsonpath={.spec.ports[0].targetPort}") == "8080"


def test_delete_waits_until_the_object_is_gone(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-n", space, "-f", "-", stdin=SERVICE)
    assert kubectl("delete", "svc", "web", "-n", space).startswith('service "web" deleted')
    assert "NotFound" in kubectl("get", "svc", "web", "-n", space, check=False)


def test_rights_are_asked_for(kubectl: Kubectl, space: str) -> None:
    assert kubectl("auth", "can-i", "list", "services", "-n", space) == "yes\n"
    nobody = f"--as=system:serviceaccount:{space}:nobody"
    assert "no" in kubectl("auth", "can-i", "list", "services", "-n", space, nobody, check=False).split()
    assert "is forbidden" in kubectl("get", "svc", "-n", space, nobody, check=False)


def test_resources_and_versions_are_listed(kubectl: Kubectl) -> None:
    resources = kubectl("api-resources", "--namespaced=true", "-o", "name").split()
    assert {"pods", "services", "deployments.apps", "leases.coordination.k8s.io"} <= set(resources)
    assert {"v1", "apps/v1", "discovery.k8s.io/v1"} <= set(kubectl("api-versions").split())
    assert kubectl("get", "--raw", "/readyz") == "ok"
