"""Every image is named once: what is in the list is all that an installation ever asks for."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from scripts.olm.names import releases
from scripts.olm.source import MANIFESTS, PACKAGING, ROOT, Source, images, label_of

from metallb.api.v1beta1 import MetalLB
from metallb.cli.images import IMAGES
from metallb.operator.installation import Installation
from metallb.operator.operands import render

LISTED = (PACKAGING / "images.txt").read_text().split()
_REFERENCE = re.compile(r"^(?=.*[/:])[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*(:[\w.-]+|@sha256:[0-9a-f]+)$")


def test_the_list_has_each_image_once() -> None:
    assert sorted(set(LISTED)) == LISTED


def test_all_that_the_manifests_name_is_listed(source: Source) -> None:
    assert set(images(source.objects).values()) <= set(LISTED)


def test_related_images_are_the_images_of_the_installation(csv: dict[str, Any], source: Source) -> None:
    related = {each["image"] for each in csv["spec"]["relatedImages"]}
    assert related == set(images(source.objects).values()) == {each for each in LISTED if label_of(each) in IMAGED}


IMAGED = {label_of(each) for each in IMAGES}
"""What the lab runs processes for: the rest of the list are packages of files."""


def test_the_lab_runs_every_image_of_an_installation(source: Source) -> None:
    assert set(images(source.objects).values()) <= set(IMAGES)


@pytest.mark.parametrize("backend", ["native", "frr", "frr-k8s"])
def test_operands_name_only_images_that_the_operator_was_told(source: Source, backend: str) -> None:
    """The operator has no image of its own in mind: each comes from its variables, which the bundle lists."""
    told = {name: f"registry.example/{name}:1" for name in ("controller_image", "speaker_image", "frr_image")}
    installation = Installation("metallb-system", version="1", frrk8s_image="registry.example/frr-k8s:1", **told)
    resource = msgspec.convert({"metadata": {"name": "metallb"}, "spec": {"bgpBackend": backend}}, MetalLB)
    named = set(images(render(resource, installation)).values())
    assert named <= {*told.values(), "registry.example/frr-k8s:1"}
    assert {told["controller_image"], told["speaker_image"]} <= named


def test_packages_of_every_version_are_listed() -> None:
    assert {each.bundle_image for each in releases()} <= set(LISTED)


def test_nothing_else_in_the_manifests_looks_like_an_image(source: Source) -> None:
    """Text of any field: an argument or an annotation could name an image, too."""
    named = set(LISTED)
    found = {text for text in _texts(list(source.objects)) if _REFERENCE.match(text) and "metallb-py" in text}
    assert found <= named
    assert "latest" not in "".join(path.read_text() for path in MANIFESTS.rglob("*.yaml"))


def test_the_product_fetches_nothing() -> None:
    """No address of another machine in the code: the API server and peers are told to it."""
    fetched = re.compile(r"https?://(?!127\.|\[::1\]|localhost|198\.18\.|\{|\$|\"|')[\w.-]+")
    found = {
        (str(path.relative_to(ROOT)), match)
        for path in (ROOT / "src").rglob("*.py")
        for match in fetched.findall(path.read_text())
    }
    assert found == set()


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [each for one in value.values() for each in _texts(one)]
    if isinstance(value, list):
        return [each for one in value for each in _texts(one)]
    return [value] if isinstance(value, str) else []
