"""Writes the reference page of the configuration's rules: what is said about each example is found out, not written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import yaml

from metallb.api.kinds import KINDS
from metallb.api.rules import RULES
from metallb.api.schema import JsonSchema, Kind, object_schema
from metallb.cli.documents import Document, read_text
from metallb.cli.findings import Finding, Subject
from metallb.cli.judging import Present, judge
from metallb.cli.objects import Reader
from metallb.config.backends import REFUSED, Backend, Feature, refuses

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "configuration-rules.md"
SOURCE = Path(__file__).resolve().parent / "examples" / "rules.yaml"
NAMESPACE: Final = "metallb-system"

Rule = dict[str, Any]

_PEER: Final = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}

INTRO: Final = """\
<!-- Generated from scripts/examples/rules.yaml and src/metallb/config by `make generate`: change it there. -->
# Rules of the configuration

What makes a configuration wrong, with an example of each rule and what is said about it. How and when it is checked,
and what becomes of a wrong object, is told in [how configuration is checked](../concepts/configuration.md).

Examples show the `spec` of an object; `BGPPeer`s have `myASN: 64500`, `peerASN: 64501` and `peerAddress: 192.0.2.1`
where nothing else is said. Of objects in conflict the youngest is to blame, and names the others.

## Who checks what

| | API server | webhook | controller | speaker | `metallb validate` |
|---|---|---|---|---|---|
| types, required fields, ranges, enumerations ([resources](resources.md)) | yes | | | | yes |
| unknown fields | if asked to: kubectl 1.25 and newer do | | | | yes |
| the API server's [rules](#rules-of-the-api-server) | yes | | where it matters | where it matters | yes |
| `IPAddressPool`, `Community` | | yes | yes | yes | yes |
| `L2Advertisement`, `BFDProfile` | | yes | | yes | yes |
| `BGPPeer`, `BGPAdvertisement` | | yes | | those that select its node | yes |
| type and keys of a `Secret` | | warns | | yes | yes, if it knows the Secrets |
| the namespace is MetalLB's | | yes | ignores others | ignores others | yes |

## Rules of the API server

It has them from the CRDs, and works without a webhook.

"""


def page() -> str:
    """The whole page."""
    stated = [
        (kind.name, f"`{path}`", f"{RULES[message].message}.") for kind in KINDS for path, message in _stated(kind)
    ]
    text = INTRO + _table(("kind", "field", "rule"), stated)
    text += "\nWhat can't be changed can still be set for the first time, and removed.\n\n"
    for section in rules():
        text += f"## {section['kind']}\n\n"
        text += f"{section['intro']}\n\n" if "intro" in section else ""
        rows = [(rule["text"], _example(rule), "<br>".join(map(_said, found(rule)))) for rule in section["rules"]]
        text += _table(("rule", "example", "what is said"), rows) + "\n"
    return text + _backends()


def _stated(kind: Kind) -> Iterator[tuple[str, str]]:
    """Paths and messages of the rules in a kind's schema."""
    waiting: list[tuple[str, JsonSchema]] = [("", object_schema(kind))]
    while waiting:
        path, schema = waiting.pop(0)
        for rule in schema.get("x-kubernetes-validations", ()):
            yield path, rule["message"]
        waiting += [(f"{path}.{name}".lstrip("."), each) for name, each in schema.get("properties", {}).items()]


def rules() -> list[Rule]:
    """The sections with their rules."""
    sections: list[Rule] = yaml.safe_load(SOURCE.read_text())
    return sections


def found(rule: Rule) -> list[Finding]:
    """What is said about the last object of an example."""
    manifests = list(documents(rule["set"]))
    severity = rule.get("as", "error")
    present = _present(rule["cluster"]) if "cluster" in rule else None
    backend = rule.get("backend", "native")
    report = judge(manifests, namespace=NAMESPACE, backend=backend, present=present)
    last = manifests[-1].value
    subject = Subject(last["kind"], NAMESPACE, last["metadata"]["name"])
    return [each for each in report.findings if each.object == subject and each.severity == severity]


def documents(entries: Sequence[Rule]) -> Iterator[Document]:
    """The objects of an example, each younger than the one before."""
    for number, entry in enumerate(entries):
        ((title, spec),) = entry.items()
        kind, name = title.split()
        whole = _object(kind, name, spec)
        whole["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
        yield from read_text(f"{number}", json.dumps(whole))


def _present(entries: Sequence[Rule]) -> Present:
    read = map(Reader(NAMESPACE).read, documents(entries))
    return Present({each.name: each.resource for each in read if each.name is not None})


def _object(kind: str, name: str, spec: Any) -> dict[str, Any]:
    version = "metallb.io/v1beta2" if kind == "BGPPeer" else "metallb.io/v1beta1"
    whole: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    if spec is None:
        return whole
    match kind:
        case "Secret" | "Namespace":
            return whole | {"apiVersion": "v1"}
        case "Node":
            addresses = [{"type": "InternalIP", "address": each} for each in spec.get("addresses", ())]
            metadata = {"name": name, "labels": spec.get("labels", {})}
            return whole | {"apiVersion": "v1", "metadata": metadata, "status": {"addresses": addresses}}
        case "Service":
            shown = [{"ip": each} for each in spec["held"]]
            more = {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": shown}}}
            return whole | {"apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}} | more
        case "BGPPeer":
            return whole | {"spec": _PEER | spec}
    return whole | {"spec": spec}


def _example(rule: Rule) -> str:
    """The last object, under those that it needs."""
    before = [*rule.get("cluster", ()), *rule["set"][:-1]]
    ((_, spec),) = rule["set"][-1].items()
    return "<br>".join([*map(_needed, before), _flow(spec)])


def _needed(entry: Rule) -> str:
    ((title, spec),) = entry.items()
    kind, name = title.split()
    match kind:
        case "Secret":
            return f"a Secret `{name}` of type `Opaque`"
        case "Namespace":
            return f"a Namespace `{name}`"
        case "Service":
            return f"a Service with {', '.join(spec['held'])}"
    return f"{kind}: {_flow(spec)}"


def _flow(spec: Any) -> str:
    """A spec on one line; what is taken out of the usual one is told in words."""
    if spec is None:
        return "no `spec`"
    shown = {name: value for name, value in spec.items() if value is not None}
    text = yaml.safe_dump(shown, default_flow_style=True, sort_keys=False, width=10**6).strip()
    gone = [f"no `{name}`" for name, value in spec.items() if value is None]
    return ", ".join([f"`{text[1:-1]}`"] * bool(shown) + gone) or "`{}`"


def _said(finding: Finding) -> str:
    value = f"'{finding.value}' " if finding.value else ""
    hint = f"; {finding.hint}" if finding.hint else ""
    waits = " *(waits for it)*" if finding.severity == "transient" else ""
    field = f"`{finding.field}`: " if finding.field else ""
    return f"{field}{value}{finding.rule}{hint}{waits}"


def _backends() -> str:
    backends = get_args(Backend)
    rows = [
        (feature.value, *("refused" if refuses(backend, feature) else "yes" for backend in backends))
        for feature in Feature
    ]
    text = "## What each backend refuses\n\n"
    text += "The backend is chosen by `spec.bgpBackend` of the `MetalLB` resource.\n\n"
    assert set(REFUSED) == set(backends)
    return text + _table(("", *(f"`{backend}`" for backend in backends)), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main() -> None:
    PAGE.write_text(page())
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
