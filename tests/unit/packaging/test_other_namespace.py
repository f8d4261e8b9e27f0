"""The manifests can be put into another namespace by kustomize, such as the one that operators share on OpenShift."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SPACE = "openshift-operators"
KUBECTL = shutil.which("kubectl") or str(ROOT / ".tools" / "bin" / "kubectl")
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "ValidatingWebhookConfiguration",
}


@pytest.fixture
def objects(tmp_path: Path) -> list[dict[str, Any]]:
    body = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": SPACE,
        "resources": [os.path.relpath(ROOT / "manifests", tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(body))
    done = subprocess.run([KUBECTL, "kustomize", tmp_path], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_all_that_has_a_namespace_is_in_the_other_one(objects: list[dict[str, Any]]) -> None:
    found = {each["metadata"].get("namespace") for each in objects if each["kind"] not in CLUSTER_WIDE}
    assert found == {SPACE}
    assert [each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"] == [SPACE]


def test_all_that_refers_to_it_follows(objects: list[dict[str, Any]]) -> None:
    subjects = [subject for each in objects for subject in each.get("subjects", [])]
    webhooks = [hook for each in objects for hook in each.get("webhooks", [])]
    conversions = [
        each["spec"]["conversion"]["webhook"]
        for each in objects
        if each["kind"] == "CustomResourceDefinition" and "webhook" in each["spec"].get("conversion", {})
    ]
    assert subjects
    assert webhooks
    assert conversions
    assert {each["namespace"] for each in subjects} == {SPACE}
    assert {each["clientConfig"]["service"]["namespace"] for each in (*webhooks, *conversions)} == {SPACE}
