"""What opm refuses of a file-based catalog.

Source: operator-registry `alpha/declcfg` and `alpha/model` (what `opm validate` runs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

Object = dict[str, Any]

SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
IMAGE: Final = re.compile(
    r"(([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?|[A-Za-z0-9-]+:\d+|localhost)/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)


def broken_text(text: str) -> list[str]:
    """What opm refuses before it looks into documents: one of nothing but comments, which other readers pass over."""
    parts = re.split(r"^---$", text, flags=re.MULTILINE)
    empty = [
        number
        for number, part in enumerate(parts, 1)
        if not any(line.strip() and not line.startswith("#") for line in part.splitlines())
    ]
    return [f"document {number} of the catalog is empty" for number in empty]


def broken(documents: Sequence[Object]) -> list[str]:
    """The rules that a file-based catalog breaks."""
    packages = {each["name"]: each for each in documents if each["schema"] == "olm.package"}
    channels = [each for each in documents if each["schema"] == "olm.channel"]
    bundles = {each["name"]: each for each in documents if each["schema"] == "olm.bundle"}
    found = [f"{each['name']}: unknown schema" for each in documents if not each["schema"].startswith("olm.")]
    found += [f"bundle {name}: {problem}" for name, each in bundles.items() for problem in _bundle(each)]
    for name, package in packages.items():
        own = {each["name"] for each in channels if each["package"] == name}
        if package.get("defaultChannel") not in own:
            found.append(f"package {name}: its default channel is none of its channels")
    for channel in channels:
        if channel["package"] not in packages:
            found.append(f"channel {channel['name']}: there is no package {channel['package']}")
        found += [f"channel {channel['name']}: {problem}" for problem in _channel(channel, bundles)]
    return found


def _channel(channel: Object, bundles: Mapping[str, Object]) -> Iterator[str]:
    entries = {each["name"]: each for each in channel["entries"]}
    if len(entries) != len(channel["entries"]):
        yield "an entry is there twice"
    for name in sorted(entries.keys() - bundles.keys()):
        yield f"there is no bundle {name}"
    replaced = [each["replaces"] for each in entries.values() if "replaces" in each]
    heads = entries.keys() - set(replaced) - {name for each in entries.values() for name in each.get("skips", [])}
    if len(heads) != 1:
        yield f"must have one head, not {len(heads)}"
    if len(set(replaced)) != len(replaced):
        yield "two versions replace the same one"
    for name in heads:
        path = [name]
        while (following := entries.get(path[-1], {}).get("replaces")) and following not in path:
            path.append(following)
        if set(path) < entries.keys():
            yield f"not all versions are replaced, one by one, on the way to {name}"
        for newer, older in pairwise(path):
            if {newer, older} <= bundles.keys() and _version(bundles[newer]) <= _version(bundles[older]):
                yield f"{newer} replaces {older}, which is not older"


def _version(bundle: Object) -> tuple[int, ...]:
    texts = [each["value"]["version"] for each in bundle["properties"] if each["type"] == "olm.package"]
    if not texts:
        return ()
    return tuple(int(part) for part in re.split(r"[-+]", texts[0])[0].split("."))


def _bundle(bundle: Object) -> Iterator[str]:
    of = [each["value"] for each in bundle.get("properties", []) if each["type"] == "olm.package"]
    if len(of) != 1:
        yield "want one property olm.package"
    for each in of:
        if each["packageName"] != bundle["package"] or not SEMVER.fullmatch(each["version"]):
            yield f"olm.package {each} does not fit"
    if not IMAGE.fullmatch(bundle.get("image", "")):
        yield f"{bundle.get('image')!r} is no image"
    if bundle.get("image") not in [each["image"] for each in bundle.get("relatedImages", [])]:
        yield "relatedImages lack the bundle's own"
    described = {each["type"] for each in bundle.get("properties", [])}
    if len({"olm.csv.metadata", "olm.bundle.object"} & described) != 1:
        yield "want a property olm.csv.metadata, or olm.bundle.object, not both"
