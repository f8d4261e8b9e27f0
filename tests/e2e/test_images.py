"""The images are built, looked into, and MetalLB is installed in a lab from nothing else.

What is needed to build them comes from Debian's and PyPI's servers, as all that set-up installs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from scripts.images import layout
from scripts.images.names import TARGETS, references

from kubelab.cluster import Cluster as LabFile
from kubelab.kubelet.layers import Layers
from kubelab.kubelet.layouts import Image, read
from kubelab.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "metallb-system"

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("images"), pytest.mark.timeout(900)]

REFERENCES = references()


def make(into: Path, *words: str) -> dict[str, Any]:
    """What `make images` runs, and what it tells programs."""
    command = [sys.executable, "-m", "scripts.images", "--into", str(into), "--output", "json", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, f"{done.stdout}{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclasses.dataclass(frozen=True)
class Built:
    """The images of this machine's architecture, and the report of their making."""

    folder: Path
    architecture: str
    report: dict[str, Any]

    @property
    def layout(self) -> Path:
        return self.folder / self.architecture

    def image(self, target: str) -> Image:
        return read([str(self.layout)], self.architecture)[REFERENCES[target]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    if os.geteuid() != 0:
        pytest.skip("only root can build images")
    folder = tmp_path_factory.mktemp("images")
    made = make(folder)["made"]
    [architecture] = made
    yield Built(folder, architecture, made[architecture])
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def inside(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs the image's Python in an image's root file system, as the user of the image."""
    layers = Layers(tmp_path_factory.mktemp("layers"))
    lower = {target.name: asyncio.run(layers.of(built.image(target.name))) for target in TARGETS}

    def run(target: str, program: str) -> str:
        chain = ":".join(map(str, lower[target]))
        script = f'mount -t overlay overlay -o lowerdir={chain} /mnt && exec chroot --userspec=65534:65534 /mnt "$@"'
        words = ["unshare", "--mount", "--", "sh", "-c", script, "sh", "/usr/bin/python3.11", "-I", "-c", program]
        return subprocess.run(words, capture_output=True, text=True, check=True, env={}).stdout

    yield run
    for folder in {each for chain in lower.values() for each in chain}:
        shutil.rmtree(folder)


def test_images_share_all_but_the_last_layer(built: Built) -> None:
    chains = [[digest for digest, _ in built.image(target.name).layers] for target in TARGETS]
    assert len({tuple(chain[:-1]) for chain in chains}) == 1
    assert len({chain[-1] for chain in chains}) == len(TARGETS)
    assert built.report["shared"]["layers"] == len(chains[0]) - 1


def test_images_are_small(built: Built) -> None:
    for sizes in built.report["images"].values():
        assert sizes["compressed_bytes"] < 32e6
        assert sizes["unpacked_bytes"] < 85e6


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_an_image_says_what_it_runs_and_as_whom(built: Built, target: Any) -> None:
    config = layout.images(built.layout)[REFERENCES[target.name]].config
    assert config["architecture"] == built.architecture
    assert config["config"]["Entrypoint"] == [target.program]
    assert config["config"]["User"] == "65534:65534"
    assert config["config"]["Labels"]["org.opencontainers.image.version"]


LIBRARIES = """
import ctypes, pathlib
for folder in ("/usr/lib", "/usr/local/lib"):
    for path in pathlib.Path(folder).rglob("*.so*"):
        if path.is_file() and "ld-linux" not in path.name:
            ctypes.CDLL(str(path))
"""


def test_every_library_in_an_image_finds_those_that_it_needs(inside: Callable[..., str]) -> None:
    inside("controller", LIBRARIES)


IMPORTS = """
import importlib, pkgutil, metallb
for each in pkgutil.walk_packages(metallb.__path__, "metallb."):
    if not each.name.endswith("__main__"):
        importlib.import_module(each.name)
import uvloop, cryptography.hazmat.primitives.asymmetric.ec, ssl, asyncio
print(ssl.OPENSSL_VERSION)
"""


def test_every_module_of_the_product_can_be_imported_in_an_image(inside: Callable[..., str]) -> None:
    assert inside("operator", IMPORTS).startswith("OpenSSL 3")


CONTENT = """
import json, os, stat
found = {"set-id": [], "writable": [], "programs": [], "stale": [], "sources": 0}
for folder, _, names in os.walk("/"):
    for name in names:
        path = os.path.join(folder, name)
        mode = os.lstat(path)
        if stat.S_ISLNK(mode.st_mode):
            continue
        if mode.st_mode & (stat.S_ISUID | stat.S_ISGID):
            found["set-id"].append(path)
        if mode.st_mode & 0o022 or mode.st_uid or mode.st_gid:
            found["writable"].append(path)
        if folder in ("/", "/usr/bin", "/usr/sbin") and mode.st_mode & 0o111:
            found["programs"].append(path)
        if name.endswith(".py") and "/python" in folder:
            found["sources"] += 1
            if not os.path.exists(f"{folder}/__pycache__/{name[:-3]}.cpython-311.pyc"):
                found["stale"].append(path)
print(json.dumps(found))
"""


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_an_image_has_no_shell_and_nothing_that_could_be_used_to_become_somebody(
    inside: Callable[..., str], target: Any
) -> None:
    found = json.loads(inside(target.name, CONTENT))
    assert sorted(found["programs"]) == sorted([target.program, "/usr/bin/python3.11"])
    assert found["set-id"] == found["writable"] == []
    assert found["stale"] == [], "a start would compile them, each time"
    assert found["sources"] > 500


CAPABLE = """
import os
for folder, _, names in os.walk("/usr"):
    for name in names:
        path = os.path.join(folder, name)
        if "security.capability" in os.listxattr(path, follow_symlinks=False):
            print(path)
"""


def test_only_the_speakers_interpreter_has_a_capability(built: Built, inside: Callable[..., str]) -> None:
    assert inside("speaker", CAPABLE).split() == ["/usr/libexec/metallb/python-net-raw"]
    assert inside("controller", CAPABLE).split() == []


def test_all_that_is_inside_is_listed_with_licences(built: Built, inside: Callable[..., str]) -> None:
    document = json.loads((built.folder / f"sbom-speaker-{built.architecture}.cdx.json").read_text())
    purls = {unquote(each["purl"]).partition("@")[0] for each in document["components"]}
    listed = inside("speaker", "import os; print(' '.join(os.listdir('/var/lib/dpkg/status.d')))").split()
    names = inside(
        "speaker", "from importlib.metadata import distributions as d; print(' '.join(x.name.lower() for x in d()))"
    ).split()
    assert {f"pkg:deb/debian/{name}" for name in listed} | {
        f"pkg:pypi/{name.replace('_', '-')}" for name in names
    } == purls
    unknown = [each["name"] for each in document["components"] if "NOASSERTION" in json.dumps(each["licenses"])]
    assert unknown == []


def test_the_same_inputs_give_the_same_images(built: Built, tmp_path: Path) -> None:
    """Also for somebody else, whose files are for nobody's eyes."""
    before = os.umask(0o077)
    try:
        again = make(tmp_path, "--cached")["made"][built.architecture]
    finally:
        os.umask(before)
    assert again == built.report
    for path in sorted(built.folder.glob("*-*.*")):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def cluster_of_images(built: Built, lab_ledger: Any, install: Callable[[Lab], Any]) -> Iterator[Any]:
    """A lab with MetalLB, of whose programs nothing is from this checkout but the images."""
    lab = asyncio.run(lab_ledger.start(dataclasses.replace(LabFile.default(), layouts=(str(built.layout),)), None))
    yield install(lab)
    asyncio.run(lab.down())
    lab_ledger.ended(lab)


def test_metallb_installed_from_images_alone_serves_a_client(cluster_of_images: Any) -> None:
    """Speakers open packet sockets as a user who is not root, with the rights that a real runtime gives them."""
    cluster = cluster_of_images

    async def story() -> None:
        await cluster.apply(cluster.load_balancer("web", "web"))
        [address] = await cluster.until(lambda: cluster.addresses("web"), "the Service has an address")
        answer = await cluster.until(lambda: cluster.fetch(address), "the client is answered")
        assert answer["pod"].startswith("web-")
        await cluster.rest()
        pods = await cluster.items("pods", NAMESPACE)
        found = {pod["metadata"]["labels"].get("component", "operator"): await status_of(pod) for pod in pods}
        assert {name: status["Uid"].split()[0] for name, status in found.items()} == dict.fromkeys(found, "65534")
        assert {name: status["CapEff"] for name, status in found.items()} == {
            "controller": "0" * 16,
            "speaker": f"{1 << 13:016x}",
            "operator": "0" * 16,
            "webhook-server": "0" * 16,
        }
        assert {each["restartCount"] for pod in pods for each in pod["status"]["containerStatuses"]} == {0}

    async def status_of(pod: dict[str, Any]) -> dict[str, str]:
        """What the kernel says of a pod's program."""
        meta, node = pod["metadata"], pod["spec"]["nodeName"]
        folder = cluster.lab.layout.directory / "pods" / node / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"
        pid = json.loads((folder / f"{pod['spec']['containers'][0]['name']}.json").read_text())["pid"]
        text = (await cluster.lab.run(f"node/{node}", ["cat", f"/proc/{pid}/status"])).stdout
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    asyncio.run(story())
