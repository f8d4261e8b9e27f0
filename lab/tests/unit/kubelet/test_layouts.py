"""Images with a root file system of their own: read from layouts, unpacked, run as who their image says."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kubelab.kubelet import runtime, users
from kubelab.kubelet.images import ImageMap
from kubelab.kubelet.layers import Layers, UnpackError, unpack
from kubelab.kubelet.layouts import Image, LayoutError, read
from kubelab.kubelet.podspec import Container, Security
from kubelab.kubelet.sandbox import Bind
from kubelab.kubelet.users import User, UserError, user_of

NAME = "example.org/web:1"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and trusted attributes")


def put(folder: Path, data: bytes) -> dict[str, Any]:
    """A blob of a layout, and what describes it."""
    digest = hashlib.sha256(data).hexdigest()
    path = folder / "blobs/sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": "x"}


def archive(*members: tuple[str, bytes | str | None, dict[str, str]]) -> bytes:
    """A layer: name, content (None: a folder; a text: a link's target), extended attributes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as layer:
        for name, content, attributes in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in attributes.items()}
            if content is None:
                info.type = tarfile.DIRTYPE
                layer.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                layer.addfile(info)
            else:
                info.size = len(content)
                layer.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def layout(folder: Path, *layers: bytes, name: str = NAME, architecture: str = "amd64", **config: Any) -> Path:
    """A layout with one image."""
    described = put(folder, json.dumps({"architecture": architecture, "config": config}).encode())
    manifest = {"config": described, "layers": [put(folder, layer) for layer in layers]}
    entry = put(folder, json.dumps(manifest).encode()) | {"annotations": {"org.opencontainers.image.ref.name": name}}
    (folder / "index.json").write_text(json.dumps({"manifests": [entry]}))
    return folder


def test_an_image_is_found_by_its_name_with_what_it_says(tmp_path: Path) -> None:
    layer = archive(("a", b"1", {}))
    layout(tmp_path, layer, Entrypoint=["/web"], Cmd=["-v"], Env=["A=1", "B=x=y", "C"], User="7:8", WorkingDir="/w")
    image = read([str(tmp_path)], "amd64")[NAME]
    assert (image.entrypoint, image.arguments, image.user, image.working_dir) == (("/web",), ("-v",), "7:8", "/w")
    assert image.environment == {"A": "1", "B": "x=y", "C": ""}
    assert [file.read_bytes() for _, file in image.layers] == [layer]


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ([], [], ["/web", "-v"]),
        ([], ["-q"], ["/web", "-q"]),
        (["/other"], [], ["/other"]),
        (["/other"], ["-q"], ["/other", "-q"]),
    ],
    ids=["nothing", "arguments", "command", "both"],
)
def test_a_command_takes_the_place_of_entrypoint_and_arguments(
    command: list[str], args: list[str], argv: list[str]
) -> None:
    image = Image(NAME, (), ("/web",), ("-v",))
    images = ImageMap([{NAME: {"": ["mapped"]}}], images={NAME: image})
    assert images.argv(NAME, command, args) == argv
    assert NAME in images


def test_of_an_image_for_several_architectures_this_machines_is_taken(tmp_path: Path) -> None:
    layout(tmp_path, architecture="amd64", User="1")
    first = json.loads((tmp_path / "index.json").read_text())["manifests"][0]
    layout(tmp_path, architecture="arm64", User="2")
    second = json.loads((tmp_path / "index.json").read_text())["manifests"][0]
    choices = [first | {"platform": {"architecture": "amd64"}}, second | {"platform": {"architecture": "arm64"}}]
    index = put(tmp_path, json.dumps({"manifests": choices}).encode()) | {"annotations": first["annotations"]}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [index]}))
    assert read([str(tmp_path)], "arm64")[NAME].user == "2"
    with pytest.raises(LayoutError, match="there is none for riscv64"):
        read([str(tmp_path)], "riscv64")


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (None, "is not a folder in the OCI image layout"),
        ("{", "is not a folder in the OCI image layout"),
        ("[]", "must be a JSON object"),
        ({"digest": "sha256:../../../etc/passwd"}, "must be a sha256 digest"),
        ({"digest": "md5:00"}, "must be a sha256 digest"),
        ({"digest": "sha256:00"}, f"image {NAME}"),
    ],
    ids=["no folder", "no JSON", "no object", "a way out", "another digest", "no blob"],
)
def test_what_is_no_layout_is_said(tmp_path: Path, index: Any, words: str) -> None:
    if isinstance(index, dict):
        entry = index | {"annotations": {"org.opencontainers.image.ref.name": NAME}}
        index = json.dumps({"manifests": [entry]})
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(LayoutError, match=words):
        read([str(tmp_path)], "amd64")


def test_an_image_for_another_machine_is_refused(tmp_path: Path) -> None:
    layout(tmp_path, architecture="arm64")
    with pytest.raises(LayoutError, match="is for arm64, this machine is amd64"):
        read([str(tmp_path)], "amd64")


@as_root
async def test_layers_are_unpacked_once_with_rights_capabilities_and_what_they_take_away(tmp_path: Path) -> None:
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)
    low = archive(("d", None, {}), ("d/old", b"1", {}))
    high = archive(
        ("d/.wh.old", b"", {}), ("e", None, {}), ("e/.wh..wh..opq", b"", {}),
        ("run", b"#!", {"security.capability": capability.decode("latin-1")}),
    )  # fmt: skip
    image = read([str(layout(tmp_path / "layout", low, high))], "amd64")[NAME]
    layers = Layers(tmp_path / "unpacked")
    upper, lower = await layers.of(image)
    assert (lower / "d/old").read_bytes() == b"1"
    assert os.stat(upper / "d/old").st_rdev == 0  # noqa: PTH116  # a device: overlay's sign that nothing is there
    assert (upper / "d/old").is_char_device()
    assert os.getxattr(upper / "e", "trusted.overlay.opaque") == b"y"
    assert os.getxattr(upper / "run", "security.capability") == capability
    before = upper.stat().st_ino
    assert (await layers.of(image))[0].stat().st_ino == before


@as_root
def test_a_layer_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "layer"
    file.write_bytes(archive(("a", b"1", {})))
    with pytest.raises(UnpackError, match="has the digest sha256:"):
        unpack("sha256:" + "0" * 64, file, tmp_path / "to")


@as_root
def test_a_layer_reaches_nothing_outside(tmp_path: Path) -> None:
    data = archive(("way", str(tmp_path), {}), ("way/reached", b"1", {}), ("../beside", b"1", {}))
    described = put(tmp_path / "layout", data)
    blob = tmp_path / "layout/blobs/sha256" / described["digest"].removeprefix("sha256:")
    with pytest.raises(UnpackError):
        unpack(described["digest"], blob, tmp_path / "to")
    assert not (tmp_path / "reached").exists()
    assert not (tmp_path / "beside").exists()


PASSWD, GROUP = "root:x:0:0::/:\nweb:x:33:34::/:\n", "root:x:0:\nstaff:x:50:\n"


@pytest.mark.parametrize(
    ("said", "security", "expected"),
    [
        ("", Security(), User(0, 0)),
        ("7", Security(), User(7, 0)),
        ("7:8", Security(), User(7, 8)),
        ("web", Security(), User(33, 34)),
        ("33", Security(), User(33, 34)),
        ("web:staff", Security(), User(33, 50)),
        ("7:8", Security(user=9), User(9, 0)),
        ("7:8", Security(user=33), User(33, 34)),
        ("7:8", Security(user=9, group=5), User(9, 5)),
        ("7:8", Security(group=5), User(7, 5)),
    ],
)
def test_the_pods_user_wins_over_the_images(said: str, security: Security, expected: User) -> None:
    assert user_of(security, Image(NAME, (), user=said), PASSWD, GROUP) == expected


def test_a_user_that_the_image_does_not_know_is_an_error() -> None:
    with pytest.raises(UserError, match="unable to find user nobody"):
        user_of(Security(), Image(NAME, (), user="nobody"), PASSWD, GROUP)


@pytest.mark.parametrize(
    ("said", "security", "words"),
    [
        ("", Security(non_root=True), "container has runAsNonRoot and image will run as root"),
        ("0:0", Security(non_root=True), "container has runAsNonRoot and image will run as root"),
        ("web", Security(non_root=True), "image has non-numeric user (web), cannot verify user is non-root"),
        ("7", Security(non_root=True), ""),
        ("", Security(non_root=True, user=7), ""),
        ("", Security(), ""),
    ],
)
def test_who_must_not_be_root_is_not_started_as_root(said: str, security: Security, words: str) -> None:
    assert words in users.refusal(security, said)
    assert bool(users.refusal(security, said)) == bool(words)


def test_a_mapped_image_runs_as_root_and_is_refused_where_that_must_not_be() -> None:
    container = Container("c", "web", security=Security(non_root=True))
    assert (
        ImageMap([{"web": {"": ["x"]}}]).refusal(container) == "container has runAsNonRoot and image will run as root"
    )


def bundle(security: Security = Security(), **more: Any) -> runtime.Bundle:  # noqa: B008  # immutable
    given: dict[str, Any] = {
        "container_id": "u-c-0", "folder": Path("/b"), "pid_file": Path("/b.pid"), "status": Path("/b.status"),
        "state": Path("/s"), "lower": (Path("/l2"), Path("/l1")), "argv": ("/web",), "environment": {"A": "1"},
        "hostname": "p", "network": "", "working_dir": "", "security": security,
        "binds": (Bind("/v/in", "/etc/web/in", read_only=True), Bind("/v", "/etc/web", read_only=False)),
        "etc": {"hosts": "/e/hosts", "hostname": "/e/hostname", "resolv.conf": "/e/resolv.conf", "passwd": "/e/passwd"},
    }  # fmt: skip
    return runtime.Bundle(**(given | more))


def test_the_runtime_is_told_the_rights_of_the_pod_and_none_of_its_own() -> None:
    security = Security(
        frozenset({"NET_RAW"}), user=5, group=6, groups=(7,), no_new_privileges=True, read_only_root=True
    )
    document = json.loads(runtime.configuration(bundle(security)))
    process = document["process"]
    assert process["user"] == {"uid": 5, "gid": 6, "additionalGids": [7]}
    assert process["capabilities"] == {key: ["CAP_NET_RAW"] for key in ("bounding", "effective", "permitted")}
    assert process["noNewPrivileges"]
    assert document["root"] == {"path": "/b/root", "readonly": True}
    assert "/proc/sys" in document["linux"]["readonlyPaths"]


def test_outer_volumes_are_mounted_before_inner_ones_and_users_are_the_images_own() -> None:
    mounts = [each["destination"] for each in json.loads(runtime.configuration(bundle()))["mounts"]]
    assert mounts.index("/etc/web") < mounts.index("/etc/web/in")
    assert "/etc/passwd" not in mounts
    assert {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} < set(mounts)


def test_layers_lie_over_each_other_in_order_and_only_the_uppermost_is_written() -> None:
    words = runtime.command(bundle(network="/n"))
    assert words[:3] == ["nsenter", "--net=/n", "--"]
    assert "lowerdir=/l2:/l1,upperdir=/b/upper,workdir=/b/work" in words
