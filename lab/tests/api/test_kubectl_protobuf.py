"""What newer kubectl sends in protobuf: everything that it makes itself, and what it asks about rights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[3] / ".tools"
BINARIES = {
    "pinned": str(TOOLS / "kubectl-1.35" / "kubectl"),
    "of the system": shutil.which("kubectl") or "",
}
SENDS_PROTOBUF_SINCE = 32
"""Minor version of kubectl."""

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


INSTALLED = sorted(name for name, binary in BINARIES.items() if name != "of the system" or Path(binary).is_file())
"""The one that set-up brings always, the one of the machine where there is one."""


@pytest.fixture(params=INSTALLED)
def kubectl(request: pytest.FixtureRequest, cluster: Any, tmp_path: Path) -> Kubectl:
    binary = BINARIES[request.param]
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [binary, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)

    if not Path(binary).is_file():
        pytest.skip(f"kubectl {request.param} is not installed: make setup does it")
    minor = json.loads(run("version", "--client", "-o", "json").stdout)["clientVersion"]["minor"]
    if int(minor.rstrip("+")) < SENDS_PROTOBUF_SINCE:
        pytest.skip(f"kubectl 1.{minor} sends JSON")
    return run


@pytest.fixture
def space(kubectl: Kubectl) -> Iterator[str]:
    name = f"protobuf-{uuid.uuid4().hex[:8]}"  # noqa: TID251  # a name no other run has
    assert kubectl("create", "namespace", name).stdout == f"namespace/{name} created\n"
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


CREATED: list[tuple[str, str, Any]] = [
    (
        "service loadbalancer a --tcp=80:8080",
        "{.spec.ports[0].name} {.spec.ports[0].targetPort} {.spec.type}",
        "80-8080 8080 LoadBalancer",
    ),
    ("service clusterip a --clusterip=None", "{.spec.clusterIP}", "None"),
    ("service externalname a --external-name=example.org", "{.spec.externalName}", "example.org"),
    (
        "deployment a --image=example.org/d:1 --replicas=0 --port=80",
        "{.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}",
        "0 80",
    ),
    ("configmap a --from-literal=b=c", "{.data.b}", "c"),
    ("secret generic a --from-literal=b=c", "{.data.b}", "Yw=="),
    ("serviceaccount a", "{.metadata.name}", "a"),
    ("role a --verb=get,list --resource=pods", "{.rules[0].verbs}", '["get","list"]'),
    ("rolebinding a --role=r --serviceaccount=b:c", "{.subjects[0].namespace} {.roleRef.name}", "b r"),
    ("quota a --hard=pods=3,cpu=1500m", "{.spec.hard.cpu}", "1500m"),
    ("poddisruptionbudget a --selector=b=c --max-unavailable=0", "{.spec.maxUnavailable}", "0"),
    (
        "job a --image=example.org/j:1 -- run it",
        "{.spec.template.spec.restartPolicy} {.spec.template.spec.containers[0].command}",
        'Never ["run","it"]',
    ),
    ("cronjob a --image=example.org/j:1 --schedule=*/5\u00a0*\u00a0*\u00a0*\u00a0*", "{.spec.schedule}", "*/5 * * * *"),
    (
        "ingress a --rule=example.org/x*=web:80",
        "{.spec.rules[0].http.paths[0].pathType} {.spec.rules[0].http.paths[0].backend.service.port.number}",
        "Prefix 80",
    ),
]
"""Arguments of `kubectl create` (a space inside one is a no-break space), a JSONPath of the result, and what is there."""


@pytest.mark.parametrize(("arguments", "path", "expected"), CREATED)
def test_objects_are_made(kubectl: Kubectl, space: str, arguments: str, path: str, expected: str) -> None:
    kind, *rest = (one.replace("\u00a0", " ") for one in arguments.split(" "))
    made = kubectl("create", "-n", space, kind, *rest)
    assert made.stdout.endswith("/a created\n"), made.stderr
    assert kubectl("get", "-n", space, kind, "a", "-o", f"jsonpath={path}").stdout == expected


def test_cluster_wide_rights_are_made(kubectl: Kubectl, space: str) -> None:
    try:
        role = kubectl("create", "clusterrole", space, "--verb=get", "--resource=nodes", "--resource-name=b")
        binding = kubectl("create", "clusterrolebinding", space, f"--clusterrole={space}", "--group=g")
        assert (role.returncode, binding.returncode) == (0, 0), role.stderr + binding.stderr
        names = kubectl("get", "clusterrole", space, "-o", "jsonpath={.rules[0].resourceNames[0]}")
        assert names.stdout == "b"
    finally:
        kubectl("delete", "clusterrole,clusterrolebinding", space, "--ignore-not-found")


def test_a_token_is_made_for_as_long_as_asked(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "serviceaccount", "robot", "-n", space)
    made = kubectl("create", "token", "robot", "-n", space, "--duration=20m", "-o", "json")
    request = json.loads(made.stdout)
    assert request["spec"]["expirationSeconds"] == 20 * 60
    assert len(request["status"]["token"].split(".")) == len(("header", "claims", "signature"))


def test_rights_are_asked_for_in_protobuf(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "role", "r", "-n", space, "--verb=list", "--resource=services")
    kubectl("create", "rolebinding", "b", "-n", space, "--role=r", f"--serviceaccount={space}:robot")
    robot = f"--as=system:serviceaccount:{space}:robot"
    answers = [kubectl("auth", "can-i", verb, "services", "-n", space, robot) for verb in ("list", "delete")]
    assert [(one.stdout, one.returncode) for one in answers] == [("yes\n", 0), ("no\n", 1)]
    assert kubectl("auth", "can-i", "*", "*").stdout == "yes\n"
    assert "services" in kubectl("auth", "can-i", "--list", "-n", space, robot).stdout


def test_a_bad_object_is_refused_with_its_field(kubectl: Kubectl, space: str) -> None:
    refused = kubectl("create", "service", "clusterip", "Bad_Name", "-n", space, "--tcp=80")
    assert refused.returncode == 1
    assert 'metadata.name: Invalid value: "Bad_Name"' in refused.stderr
