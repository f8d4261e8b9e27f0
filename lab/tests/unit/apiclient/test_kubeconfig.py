"""Kubeconfig files, good and bad."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.kubeconfig import Connection, KubeconfigError, load


def document(**user: Any) -> dict[str, Any]:
    return {
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u", "namespace": "demo"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", "certificate-authority": "ca.crt"}}
        ],
        "users": [{"name": "u", "user": user}],
    }


def write(folder: Path, content: Any) -> Path:
    (folder / "ca.crt").write_bytes(b"CA")
    file = folder / "kubeconfig"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_files_and_inline_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(b"KEY")
    inline = base64.b64encode(b"CERT").decode()
    file = write(tmp_path, document(**{"client-certificate-data": inline, "client-key": "key.pem", "token": "t"}))
    assert load(file) == Connection(
        server="https://127.0.0.1:6443", ca=b"CA", cert=b"CERT", key=b"KEY", token="t", namespace="demo"
    )


def missing(*path: str) -> dict[str, Any]:
    made: Any = document()
    at = made
    for step in path[:-1]:
        at = at[step] if isinstance(at, dict) else at[0][step]
    if isinstance(at, list):
        at.clear()
    else:
        del at[path[-1]]
    return made


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "file"),
        ("[]", "file"),
        (missing("current-context"), "current-context"),
        (missing("contexts", "x"), "contexts"),
        (missing("users", "x"), "users"),
        (missing("clusters", "cluster", "server"), "server"),
        (document(**{"client-key-data": "%"}), "client-key-data"),
        (document(**{"client-key": "absent.pem"}), "client-key"),
        (document(exec={"command": "x"}), "users[u]"),
    ],
)
def test_a_bad_file_names_the_field(tmp_path: Path, content: Any, field: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(KubeconfigError) as caught:
        load(file)
    assert caught.value.field == field
    assert str(file) in str(caught.value)
