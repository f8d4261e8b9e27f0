"""What a real kubectl printed of a real server's tables: the same columns, in the same order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kubelab.apiserver.builtin.printers import DEFAULT, columns
from kubelab.objects import GroupResource, Object

_FILE = Path(__file__).parents[2] / "vectors" / "kubectl" / "kubectl-1.35.jsonl"
_RESOURCES = {
    "nodes": GroupResource("", "nodes"),
    "ns": GroupResource("", "namespaces"),
    "deployment": GroupResource("apps", "deployments"),
    "daemonset": GroupResource("apps", "daemonsets"),
    "pods": GroupResource("", "pods"),
    "svc": GroupResource("", "services"),
    "endpointslices": GroupResource("discovery.k8s.io", "endpointslices"),
    "endpoints": GroupResource("", "endpoints"),
    "events": GroupResource("", "events"),
    "crd": GroupResource("apiextensions.k8s.io", "customresourcedefinitions"),
}


def _tables() -> list[Object]:
    found = []
    for line in map(json.loads, _FILE.read_text(encoding="utf-8").splitlines()):
        argv = line["argv"]
        plain = not {"-o", "--show-labels", "-w", "-A"} & set(argv) or argv[-2:] == ["-o", "wide"]
        if argv[1] == "get" and argv[2] in _RESOURCES and line["stdout"] and plain:
            found.append(line)
    return found


def test_there_are_tables_to_compare() -> None:
    assert {line["argv"][2] for line in _tables()} == set(_RESOURCES)


@pytest.mark.parametrize("line", _tables(), ids=lambda line: " ".join(line["argv"][1:]))
def test_kubectl_shows_these_columns(line: Object) -> None:
    printer = columns(_RESOURCES[line["argv"][2]]) or DEFAULT
    wide = line["argv"][-1] == "wide"
    ours = [column["name"].upper() for column in printer.definitions if wide or column["priority"] == 0]
    assert re.split(r"\s{2,}", line["stdout"].splitlines()[0].strip()) == ours
