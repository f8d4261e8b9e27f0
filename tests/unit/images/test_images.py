"""What images are made of: decided by tables, before anything is fetched or built."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.images import build, debian, keeping, layout, sbom, wheels
from scripts.images.__main__ import Report, main
from scripts.images.context import SOURCES, STRIP, WITH_NET_RAW
from scripts.images.debian import Package
from scripts.images.names import TARGETS, NamingError, references
from scripts.images.wheels import Distribution, WheelError
from scripts.olm.source import ROOT, Source

from metallb.cli.main import COMMANDS
from metallb.operator.operands import NOBODY

CONTAINERFILE = (SOURCES / "Containerfile").read_text()


class TestTheContainerfile:
    def test_has_a_target_for_each_image_with_upstreams_program(self) -> None:
        stages = CONTAINERFILE.split("\nFROM ")
        made = {
            match[1]: json.loads(match[2])
            for stage in stages
            if (match := re.match(r"product AS (\w+)\n.*^ENTRYPOINT (.+)$", stage, re.DOTALL | re.MULTILINE))
        }
        assert made == {target.name: [target.program] for target in TARGETS}

    def test_says_who_is_not_root_by_number(self) -> None:
        assert re.findall(r"^USER (.+)$", CONTAINERFILE, re.MULTILINE) == [f"{NOBODY}:{NOBODY}"]

    def test_fetches_and_runs_nothing(self) -> None:
        """So it builds offline, and for another architecture."""
        assert not re.findall(r"^(RUN|ADD) ", CONTAINERFILE, re.MULTILINE)
        assert re.findall(r"^FROM (\S+) AS (\w+)$", CONTAINERFILE, re.MULTILINE)[0] == ("scratch", "debian")


class TestPrograms:
    @pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
    def test_start_the_process_of_their_name_apart_from_the_environment(self, target: Any) -> None:
        text = (SOURCES / "entrypoints" / target.program.strip("/")).read_text()
        assert f'args=["{target.name}", ' in text
        assert target.name in COMMANDS
        interpreter = f"/{WITH_NET_RAW}" if target.name == "speaker" else "/usr/bin/python3.11"
        assert text.startswith(f"#!{interpreter} -I\n")

    def test_are_those_that_the_manifests_call(self) -> None:
        manager = Source.read().named("Deployment", "metallb-operator-controller-manager")
        programs = {target.name: target.program for target in TARGETS}
        assert manager["spec"]["template"]["spec"]["containers"][0]["command"] == [programs["operator"]]


class TestNames:
    def test_are_the_manifests_where_no_others_are_given(self) -> None:
        listed = (ROOT / "packaging/images.txt").read_text().split()
        assert set(references().values()) <= set(listed)
        assert set(references()) == {target.name for target in TARGETS}

    def test_can_be_others(self) -> None:
        other = "registry.example:5000/team/speaker:v1_2-x"
        assert references({"speaker": other})["speaker"] == other

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"bundle": "a/b:1"}, "there is no such image"),
            ({"speaker": "a/b"}, "want REPOSITORY:TAG"),
            ({"speaker": "a/b@sha256:" + "0" * 64}, "the digest is known once the image is made"),
            ({"speaker": "a b:1"}, "want REPOSITORY:TAG"),
            ({"speaker": "A/b:1"}, "want REPOSITORY:TAG"),
            ({"speaker": "a:1\n"}, "want REPOSITORY:TAG"),
            ({"speaker": ""}, "want REPOSITORY:TAG"),
        ],
    )
    def test_that_cannot_be_are_refused(self, given: dict[str, str], words: str) -> None:
        with pytest.raises(NamingError, match=words):
            references(given)

    @pytest.mark.parametrize("given", ["speaker", "speaker=a b", "nobody=a/b:1"])
    def test_that_cannot_be_end_the_command(self, given: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--image", given]) == 2
        assert "--image: " in capsys.readouterr().err


class TestKeeping:
    @pytest.mark.parametrize(
        ("path", "place"),
        [
            ("./usr/bin/python3.11", "usr/bin/python3.11"),
            ("./lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("./lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
            ("./lib/ld-linux-aarch64.so.1", "usr/lib/ld-linux-aarch64.so.1"),
            ("./usr/lib/aarch64-linux-gnu/libssl.so.3", "usr/lib/aarch64-linux-gnu/libssl.so.3"),
            ("./usr/lib/python3.11/asyncio/tasks.py", "usr/lib/python3.11/asyncio/tasks.py"),
            ("./usr/lib/python3.11/lib-dynload/_ssl.so", "usr/lib/python3.11/lib-dynload/_ssl.so"),
            ("./usr/share/doc/libc6/copyright", "usr/share/doc/libc6/copyright"),
            ("./usr/share/common-licenses/GPL-2", "usr/share/common-licenses/GPL-2"),
            ("./usr/lib/os-release", "usr/lib/os-release"),
            ("./usr/lib/python3.11/unittest/mock.py", None),
            ("./usr/lib/python3.11/ctypes/test/x.py", None),
            ("./usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311-x86_64-linux-gnu.so", None),
            ("./usr/lib/python3.11/EXTERNALLY-MANAGED", None),
            ("./usr/share/doc/libc6/changelog.gz", None),
            ("./usr/share/man/man1/python3.11.1.gz", None),
            ("./usr/lib/x86_64-linux-gnu/gconv/BIG5.so", None),
            ("./lib/x86_64-linux-gnu/libnss_hesiod.so.2", None),
            ("./usr/bin/openssl", None),
            ("./bin/sh", None),
            ("./etc/python3.11/sitecustomize.py", None),
            ("./usr/bin/../../etc/os-release", None),
            ("/etc/os-release", None),
            ("./", None),
        ],
    )
    def test_of_debians_files_only_what_can_be_used_gets_in(self, path: str, place: str | None) -> None:
        assert keeping.of_debian(path) == place

    @pytest.mark.parametrize(
        ("path", "kept"),
        [
            ("aiohttp/web.py", True),
            ("aiohttp/_http_parser.cpython-311-x86_64-linux-gnu.so", True),
            ("attrs-1.dist-info/METADATA", True),
            ("attrs-1.dist-info/licenses/LICENSE", True),
            ("metallb-1.dist-info/entry_points.txt", True),
            ("metallb/contest.py", True),
            ("aiohttp/_http_parser.pyx", False),
            ("aiohttp/.hash/x.hash", False),
            ("attr/__init__.pyi", False),
            ("x/tests/test_x.py", False),
            ("x/__pycache__/x.cpython-311.pyc", False),
            ("x-1.dist-info/RECORD", False),
            ("x-1.dist-info/direct_url.json", False),
            ("bin/metallb", False),
        ],
    )
    def test_of_wheels_what_is_run_and_the_licences_get_in(self, path: str, kept: bool) -> None:  # noqa: FBT001  # a table's column
        assert keeping.of_wheel(path) is kept

    def test_each_package_has_its_reason(self) -> None:
        wanted = yaml.safe_load((SOURCES / "packages.yaml").read_text())["packages"]
        assert all(wanted.values())


LOCK = """\
aiohttp==3.14.5 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
cffi==2.1.1 ; platform_python_implementation != 'PyPy' \\
    --hash=sha256:ba
ruff==0.17.6 \\
    --hash=sha256:ca
"""


class TestPythonPackages:
    REQUIRES = {
        "metallb": [],
        "aiohttp": [
            "Frozen_List>=1; python_version >= '3.9'",
            "brotli; extra == 'speedups'",
            "old; python_version < '3'",
        ],
        "frozen-list": ["arm-only; platform_machine == 'aarch64'"],
        "arm-only": [],
    }

    def test_all_that_is_needed_in_turn_is_found_and_nothing_else(self) -> None:
        assert wheels.closure(["aiohttp>=3"], self.REQUIRES, "x86_64") == {"aiohttp", "frozen-list"}
        assert wheels.closure(["aiohttp>=3"], self.REQUIRES, "aarch64") == {"aiohttp", "frozen-list", "arm-only"}

    def test_what_nobody_knows_is_named(self) -> None:
        with pytest.raises(WheelError, match="nosuch"):
            wheels.closure(["nosuch"], self.REQUIRES, "x86_64")

    def test_the_part_of_the_lock_keeps_versions_and_hashes(self) -> None:
        expected = LOCK[: LOCK.index("ruff")]
        assert wheels.part_of_lock(LOCK, {"cffi", "aiohttp"}) == expected

    def test_what_the_lock_lacks_is_named(self) -> None:
        with pytest.raises(WheelError, match=r"lacks uvloop: run `make lock`"):
            wheels.part_of_lock(LOCK, {"uvloop", "aiohttp"})

    def test_the_products_needs_are_in_the_lock_with_hashes(self) -> None:
        requires = wheels.environment_requires()
        needed = wheels.closure(requires["metallb"], requires, "x86_64")
        part = wheels.part_of_lock((ROOT / "requirements.lock").read_text(), needed)
        assert {"aiohttp", "cryptography", "uvloop"} <= needed
        assert not {"pytest", "ruff", "rich", "jsonpatch"} & needed
        assert part.count("==") == len(needed)
        assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=\S)", part, flags=re.MULTILINE) if entry)


PACKAGE = Package("libc6", "1:2.36-9+deb12u1", "amd64", "glibc", "0" * 64, "Package: libc6\n", ("LGPL-2.1+", "GPL-2"))


class TestTheListOfWhatIsInside:
    def test_names_packages_with_licences(self) -> None:
        found = [Distribution("attrs", "26.1.0", "MIT"), Distribution("odd", "1", "Apache License, Version 2.0")]
        document = sbom.document("a/b:1", "amd64", [PACKAGE], found, 0)
        libc, attrs, odd = document["components"]
        assert libc["purl"] == "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12"
        assert libc["licenses"] == [{"license": {"name": "LGPL-2.1+"}}, {"license": {"name": "GPL-2"}}]
        assert (attrs["purl"], attrs["licenses"]) == ("pkg:pypi/attrs@26.1.0", [{"expression": "MIT"}])
        assert odd["licenses"] == [{"license": {"name": "Apache License, Version 2.0"}}]
        assert (document["metadata"]["component"]["name"], document["metadata"]["timestamp"]) == (
            "a/b",
            "1970-01-01T00:00:00Z",
        )

    def test_is_the_same_for_the_same_and_another_for_another(self) -> None:
        first = sbom.document("a/b:1", "amd64", [PACKAGE], [], 0)
        assert sbom.document("a/b:1", "amd64", [PACKAGE], [], 0) == first
        assert sbom.document("a/b:1", "amd64", [], [], 0)["serialNumber"] != first["serialNumber"]

    def test_takes_licences_from_debians_copyright_files(self) -> None:
        text = "Format: x\n\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: a\nLicense: Expat\n\nLicense: GPL-2+\n more\n"
        assert debian.licences(text) == ("GPL-2+", "Expat")
        assert debian.licences("see `/usr/share/common-licenses/GPL-3'.\n/usr/share/common-licenses/GPL.") == (
            "GPL-3",
            "GPL",
        )


def put_layout(folder: Path, images: dict[str, list[bytes]]) -> None:
    def blob(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        path = folder / "blobs/sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    entries = []
    for name, layers in images.items():
        manifest = {"config": blob(b"{}"), "layers": [blob(layer) for layer in layers]}
        entry = blob(json.dumps(manifest).encode())
        entries.append(entry | {"annotations": {layout.NAME: name}})
    (folder / "index.json").write_text(json.dumps({"manifests": entries}))


def layer(size: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.size = size
        archive.addfile(info, io.BytesIO(b"x" * size))
    return gzip.compress(stream.getvalue(), mtime=0)


def test_sizes_count_what_is_sent_what_is_unpacked_and_what_is_shared(tmp_path: Path) -> None:
    below, above = layer(1000), layer(50)
    put_layout(tmp_path, {"a/one:1": [below, above], "a/two:1": [below, layer(70)]})
    sizes = layout.sizes(layout.images(tmp_path))
    one = sizes["images"]["a/one:1"]
    assert (one["unpacked_bytes"], one["compressed_bytes"]) == (1050, len(below) + len(above))
    assert one["own_compressed_bytes"] == len(above)
    assert sizes["shared"] == {"layers": 1, "compressed_bytes": len(below), "unpacked_bytes": 1000}


def test_the_report_says_what_was_not_made_and_why() -> None:
    each = {"compressed_bytes": 24_100_000, "unpacked_bytes": 65_000_000, "own_compressed_bytes": 200}
    report = Report({"amd64": {"images": {"a/speaker:1": each}}}, {"arm64": "this machine lacks Debian packages"})
    assert "24.1 MB" in report.text()
    assert report.text().endswith("not made for arm64: this machine lacks Debian packages")


def test_tools_that_are_missing_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda tool: None if tool in {"buildah", "x-strip"} else f"/bin/{tool}")
    assert build.missing("x-strip", "binutils-x") == ["binutils-x", "buildah"]
    assert set(STRIP) == set(wheels.MACHINES)


def test_a_capability_is_written_as_the_kernel_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.images import tree

    written: dict[str, bytes] = {}
    monkeypatch.setattr(tree.os, "setxattr", lambda _path, name, data: written.update({name: data}))
    tree.allow(tmp_path, tree.CAP_NET_RAW)
    magic, permitted, inheritable, *rest = struct.unpack("<5I", written["security.capability"])
    assert (magic, permitted, inheritable, rest) == (0x02000001, 1 << 13, 0, [0, 0])
