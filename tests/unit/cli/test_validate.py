"""`metallb validate` from outside: inputs, answers and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metallb.cli.main import main
from metallb.cli.output import Exit

Json = dict[str, Any]
Write = Callable[[str, str], Path]

POOL = """\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: first
  namespace: metallb-system
spec:
  addresses:
  - 198.51.100.0/24
"""
ADVERTISEMENT = """\
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all}
"""
OVERLAP = POOL.replace("first", "second").replace("198.51.100.0/24", "198.51.100.128/25")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file; all happens in its folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("METALLB_BGP_TYPE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return put


def validate(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["validate", *arguments], input=stdin, catch_exceptions=False)


def found(*arguments: str, stdin: str | None = None) -> list[Json]:
    answer: list[Json] = json.loads(validate(*arguments, "-o", "json", stdin=stdin).stdout)
    return answer


def test_a_valid_set_ends_with_0(write: Write) -> None:
    write("a.yaml", f"{POOL}---\n{ADVERTISEMENT}")
    result = validate("-f", "a.yaml")
    assert (result.exit_code, result.output) == (Exit.OK, "2 objects judged: all is valid\n")
    assert found("-f", "a.yaml") == []


def test_an_error_is_told_with_its_place_and_ends_with_1(write: Write) -> None:
    write("a.yaml", f"{POOL}---\n{ADVERTISEMENT}")
    write("b.yaml", f"kind: ConfigMap\napiVersion: v1\n---\n{OVERLAP}")
    result = validate("-f", "a.yaml", "-f", "b.yaml")
    assert result.exit_code == 1
    assert result.output == (
        "b.yaml:11: error: IPAddressPool metallb-system/second: spec.addresses[0]: '198.51.100.128/25' overlaps "
        "198.51.100.0/24 of IPAddressPool metallb-system/first; an address may belong to one pool only\n"
        "3 objects judged, 1 of other kinds left out: 1 error\n"
    )


def test_the_json_has_every_field(write: Write) -> None:
    write("a.yaml", f"{POOL}---\n{ADVERTISEMENT}---\n{OVERLAP}")
    assert found("-f", "a.yaml") == [
        {
            "severity": "error",
            "file": "a.yaml",
            "document": 3,
            "line": 21,
            "object": {"kind": "IPAddressPool", "namespace": "metallb-system", "name": "second"},
            "field": "spec.addresses[0]",
            "value": "198.51.100.128/25",
            "rule": "overlaps 198.51.100.0/24 of IPAddressPool metallb-system/first",
            "hint": "an address may belong to one pool only",
            "others": [{"kind": "IPAddressPool", "namespace": "metallb-system", "name": "first"}],
        }
    ]


def test_warnings_fail_only_where_they_are_asked_to(write: Write) -> None:
    write("a.yaml", POOL)
    result = validate("-f", "a.yaml")
    assert result.exit_code == Exit.OK
    assert "a.yaml:1: warning: IPAddressPool metallb-system/first: no advertisement announces" in result.output
    assert result.output.endswith("1 object judged: 1 warning\n")
    assert validate("-f", "a.yaml", "--strict").exit_code == 1


def test_what_waits_for_another_object_is_no_error(write: Write) -> None:
    spec = "{communities: [vip], peers: [router]}"
    peer = "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1}"
    write(
        "a.yaml",
        f"{POOL}---\n{{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {{name: a}}, spec: {spec}}}\n---\n"
        f"{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: router}}, spec: {peer}}}\n",
    )
    (only,) = found("-f", "a.yaml")
    assert (only["severity"], only["field"], only["value"]) == ("transient", "spec.communities[0]", "vip")
    assert validate("-f", "a.yaml").exit_code == Exit.OK
    assert validate("-f", "a.yaml", "--strict").exit_code == 1


def test_files_folders_and_standard_input_are_one_set(write: Write) -> None:
    write("sub/a.yaml", POOL)
    write("sub/b.txt", "no manifest: [")
    result = validate("-f", "sub", "-", stdin=ADVERTISEMENT)
    assert (result.exit_code, result.output) == (Exit.OK, "2 objects judged: all is valid\n")


def test_deep_folders_are_read_when_asked_for(write: Write) -> None:
    (write("top/a.yaml", POOL).parent / "deep").mkdir()
    write("top/b.yaml", ADVERTISEMENT)
    (Path("top/deep/c.json")).write_text(json.dumps({"apiVersion": "metallb.io/v1beta1", "kind": "Community"}))
    assert validate("-f", "top").exit_code == Exit.OK
    assert [each["file"] for each in found("-R", "-f", "top")] == ["top/deep/c.json"]


def test_one_object_twice_is_refused(write: Write) -> None:
    write("a.yaml", f"{POOL}---\n{ADVERTISEMENT}")
    write("b.yaml", POOL)
    (only,) = found("-f", "a.yaml", "b.yaml")
    assert (only["file"], only["rule"]) == ("b.yaml", "is there twice, first in a.yaml:1")


def test_namespaces_of_others_are_refused_and_ours_can_be_named(write: Write) -> None:
    write("a.yaml", f"{POOL}---\n{ADVERTISEMENT}")
    errors = [each for each in found("-f", "a.yaml", "-n", "other") if each["severity"] == "error"]
    assert [(each["field"], each["object"]["namespace"]) for each in errors] == [
        ("metadata.namespace", "metallb-system")
    ]
    write("b.yaml", POOL.replace("metallb-system", "other"))
    assert validate("-f", "b.yaml", "-n", "other").exit_code == Exit.OK


@pytest.mark.parametrize(("backend", "refused"), [("native", True), ("frr", False), ("frr-k8s", False)])
def test_each_backend_has_its_rules(write: Write, monkeypatch: pytest.MonkeyPatch, backend: str, refused: bool) -> None:  # noqa: FBT001  # a column
    spec = "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, vrf: red}"
    write("a.yaml", f"{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: a}}, spec: {spec}}}")
    assert (validate("-f", "a.yaml", "--backend", backend).exit_code == 1) is refused
    monkeypatch.setenv("METALLB_BGP_TYPE", backend)
    assert (validate("-f", "a.yaml").exit_code == 1) is refused


def test_a_password_is_never_shown(write: Write) -> None:
    spec = "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, password: 13371337, passwordSecret: {name: s}}"
    write("a.yaml", f"{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: a}}, spec: {spec}}}")
    write(
        "b.yaml",
        f"{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: a}}, spec: {spec}}}".replace(
            "13371337", "'13371337'"
        ),
    )
    for name in ("a.yaml", "b.yaml"):
        result = validate("-f", name)
        assert result.exit_code == 1
        assert "spec.password" in result.output
        assert "1337" not in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give files by -f, or a kustomization by -k"),
        (["-f", "none.yaml"], "error: none.yaml: No such file"),
        (["-f", "broken.yaml"], "error: broken.yaml:2: is no YAML"),
        (["-f", "empty"], "error: empty: the folder has no .json, .yaml, .yml file"),
        (["-f", "https://example.com/x.yaml"], "addresses are not read"),
        (["-f", "-", "-"], "standard input can be read once only"),
        (["-f", "good.yaml", "--backend", "bird"], "'bird' is not one of"),
        (["-f", "good.yaml", "--wings"], "No such option"),
        (["-f", "good.yaml", "--kubeconfig", "none"], "error: none: can't be read"),
        (["-f", "good.yaml", "--cluster"], "error:"),
    ],
)
def test_what_can_not_be_looked_at_ends_with_2(write: Write, arguments: list[str], says: str) -> None:
    write("good.yaml", POOL)
    write("broken.yaml", "a: [")
    write("empty/x", "").unlink()
    result = validate(*arguments)
    assert result.exit_code == Exit.USAGE, result.output
    assert says in result.stderr
    assert result.stdout == ""


def test_a_wrong_backend_of_the_environment_is_told(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("good.yaml", POOL)
    monkeypatch.setenv("METALLB_BGP_TYPE", "bird")
    result = validate("-f", "good.yaml")
    assert (result.exit_code, "METALLB_BGP_TYPE='bird'" in result.stderr) == (Exit.USAGE, True)


def test_a_cluster_that_does_not_answer_ends_with_2(write: Write) -> None:
    write("good.yaml", POOL)
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    }
    write("config", json.dumps(config))
    result = validate("-f", "good.yaml", "--kubeconfig", "config")
    assert result.exit_code == Exit.USAGE
    assert "127.0.0.1" in result.stderr


def stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_kustomization_is_built_by_what_is_there(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("base/pool.yaml", POOL + "---\n" + OVERLAP).parent.parent
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    stand_in(folder, "kubectl", 'test "$1" = kustomize && cat "$2/pool.yaml"')
    assert {(each["file"], each["line"]) for each in found("-k", "base")} == {("base", None)}
    assert "base (document 2): error: IPAddressPool metallb-system/second" in validate("-k", "base").output
    (folder / "bin/kubectl").unlink()
    monkeypatch.setenv("PATH", f"{folder}/bin")
    stand_in(folder, "kustomize", 'test "$1" = build && /bin/cat "$2/pool.yaml"')
    assert validate("-k", "base").exit_code == 1


def test_a_kustomization_that_can_not_be_built_ends_with_2(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("base/x", "").parent.parent
    monkeypatch.setenv("PATH", f"{folder}/bin")
    result = validate("-k", "base")
    assert (result.exit_code, "-k needs kubectl or kustomize on PATH" in result.stderr) == (Exit.USAGE, True)
    stand_in(folder, "kubectl", "echo 'no kustomization.yaml' >&2; exit 1")
    result = validate("-k", "base")
    assert result.exit_code == Exit.USAGE
    assert "`kubectl kustomize base` failed: no kustomization.yaml" in result.stderr


def test_the_help_has_examples_and_exit_codes(golden: Callable[[str, str], None]) -> None:
    result = CliRunner().invoke(main, ["validate", "--help"], prog_name="metallb", terminal_width=100)
    golden("help/validate.txt", result.output)
