"""Writes the reference pages that follow from the code: resources, flags, metrics. A test fails when they are stale."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import inspect as types

from metallb.advertisement.layer2 import EXCLUDE_LABEL
from metallb.allocator import request
from metallb.api import v1beta1
from metallb.api.kinds import (
    BFD_PROFILE,
    BGP_ADVERTISEMENT,
    BGP_PEER,
    COMMUNITY,
    CONFIGURATION_STATE,
    IP_ADDRESS_POOL,
    KINDS,
    L2_ADVERTISEMENT,
    METALLB,
    SERVICE_BGP_STATUS,
    SERVICE_L2_STATUS,
)
from metallb.api.schema import JsonSchema, Kind, schema_of
from metallb.cli import controller, operator, speaker
from metallb.cli.flags import Flag
from metallb.controller.status import POOL_ANNOTATION
from metallb.operator.backend import DEFAULT_BACKEND, DEPLOYABLE
from metallb.telemetry import metrics
from metallb.telemetry.metrics import Metric

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
EXAMPLES = Path(__file__).resolve().parent / "examples"
NOTE = "<!-- Generated from {source} by `make generate`: change it there. -->\n"

NO_BGP: Final = "Accepted by the API and without effect in this version: nothing speaks BGP yet."
NOT_WRITTEN: Final = "Not written in this version."

REMARKS: Final[dict[Kind, Sequence[str]]] = {
    METALLB: (
        "Only the resource called `metallb` in the operator's namespace is served; the status of any other says so.",
        (
            f"An empty `bgpBackend` means `{DEFAULT_BACKEND}`. This version can deploy "
            f"{', '.join(f'`{each}`' for each in sorted(DEPLOYABLE))} only; with another the resource is "
            "[`Degraded`](conditions.md), and what runs goes on."
        ),
        "`frrk8sConfig` has no effect in this version.",
        (
            "Speakers only run on nodes with `kubernetes.io/os: linux`, and tolerate the `NoSchedule` taints of "
            "control-plane nodes. `nodeSelector` and `speakerTolerations` come on top."
        ),
        "Fields can be changed and removed while MetalLB runs; the pods follow.",
    ),
    IP_ADDRESS_POOL: (
        (
            "An item of `addresses` is a CIDR (`203.0.113.0/25`; bits after the prefix are dropped) or a range "
            "(`203.0.113.10-203.0.113.19`, both ends included), IPv4 or IPv6."
        ),
        "At least one item is needed. No address may be in two items, be they of one pool or of two.",
        "All addresses of a CIDR are used, also the first and the last; `avoidBuggyIPs` leaves out .0 and .255.",
        (
            "A `serviceAllocation` with namespaces or selectors closes the pool to all other Services, also to those "
            "that ask for it by name."
        ),
        (
            "The annotations `metallb.io/drain`, `metallb.io/quota-per-namespace` and `metallb.io/sticky-seconds` "
            '[limit](../concepts/allocation.md#limits-of-a-pool) what the pool gives; `metallb.io/spread: "true"` '
            "[spreads](../concepts/layer2.md#spread-evenly) its addresses evenly over nodes on layer 2; "
            '`metallb.io/probe: "false"` announces them without '
            "[asking first](../how-to/address-conflicts.md) whether another host has them."
        ),
        (
            "`status` shows how many addresses are in use and left; one that several Services share counts once. It "
            "follows within a moment. More than 9223372036854775807 addresses of a family count as so many."
        ),
        (
            "The API server does not check these rules yet (no webhooks). Controller and speakers refuse a wrong pool "
            "and keep the configuration before: see [find out why](../how-to/find-out-why.md)."
        ),
    ),
    L2_ADVERTISEMENT: (
        "Services get addresses of a pool without an advertisement, too; nobody announces them.",
        "Several advertisements for one pool add up: a node may announce if one of them selects it.",
        "`interfaces` of the advertisements that select a node add up; one that names none means all interfaces.",
        "`preferredNodeSelectors` only choose among the nodes that may announce.",
        "More about all of it: [layer 2](../concepts/layer2.md).",
    ),
    BGP_ADVERTISEMENT: (
        NO_BGP,
        (
            "With `serviceSelectors` the API server refuses an `aggregationLength` other than 32 and an "
            "`aggregationLengthV6` other than 128."
        ),
    ),
    BGP_PEER: (
        NO_BGP,
        "Needs either `peerASN` or `dynamicASN`, and either `peerAddress` or `interface`.",
        (
            "The API server refuses to change `enableGracefulRestart` from true to false or back: delete the peer and "
            "create it anew."
        ),
        (
            "Version `v1beta1` is deprecated and served too: it is converted both ways without loss. What it has no "
            "field for travels in the annotation `metallb.io/v1beta2-fields`; leave it in place when you write a peer "
            "back."
        ),
    ),
    BFD_PROFILE: (NO_BGP,),
    COMMUNITY: (
        NO_BGP,
        "There are no names of their own accord: for `no-export` give it the value `65535:65281`.",
    ),
    SERVICE_L2_STATUS: (
        "The node that announces a Service by ARP and NDP writes it, in MetalLB's namespace; nobody announces: none.",
        "`interfaces` is there when advertisements name some; otherwise it is announced on all that take part.",
        "Edits are undone, and an object that is deleted comes again.",
        "Its labels `metallb.io/node`, `metallb.io/service-name` and `metallb.io/service-namespace` are for selecting.",
    ),
    SERVICE_BGP_STATUS: (
        NOT_WRITTEN,
        "Its labels `metallb.io/node`, `metallb.io/service-name` and `metallb.io/service-namespace` are for selecting.",
    ),
    CONFIGURATION_STATE: (
        NOT_WRITTEN + " What is wrong with a configuration stands in [logs and metrics](../how-to/find-out-why.md).",
        "One is called `controller`, the others `speaker-` and the name of the node.",
    ),
}
"""What the fields' own texts don't say: rules between fields and objects, and what this version lacks."""


DROPPED: Final[dict[str, str]] = {
    "own": "this node sent it, by another interface",
    "not-a-request": "ARP that neither asks nor names one of our addresses as its own",
    "other-destination": "an ARP request to another host's Ethernet address",
    "not-ours": (
        "about an address that is not announced: the kernel's filter lets some pass where addresses are thousands and "
        "scattered, and while they change"
    ),
    "silent": "it came while this speaker was silent: others may have answered",
    "malformed-short": "it ends too early",
    "malformed-ethertype": "neither ARP nor IPv6",
    "malformed-type": "ARP, but not for IPv4 over Ethernet",
    "malformed-header": "not IPv6, or not ICMPv6 right behind its header",
    "malformed-length": "the lengths of IPv6 and of the frame contradict each other",
    "malformed-hop-limit": "its hop limit is not 255: a router has passed it on",
    "malformed-kind": "neither solicitation nor advertisement",
    "malformed-checksum": "a wrong checksum",
    "malformed-target": "its target is a multicast address",
    "malformed-unspecified-source": "a probe for duplicates to a wrong destination, or with a link-layer address",
    "malformed-option": "an option of length 0, or longer than the frame",
    "filter-failed": "no frame: the kernel refused a filter, the one before stays",
    "send-failed": "an answer or announcement that could not be sent",
    "join-failed": "no frame: a multicast group could not be joined, solicitations for its addresses may be missed",
}
"""Why frames are dropped: the values of a label."""


def pages() -> dict[Path, str]:
    """The text of each generated page, by its file."""
    return {
        PAGES / "resources.md": resources(),
        PAGES / "flags.md": flags(),
        PAGES / "metrics.md": metrics_page(),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; what would break a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# Resources


@dataclass(frozen=True, slots=True)
class Shape:
    """A type of the API: its name as users write it, and the struct that it is or contains."""

    text: str
    struct: type | None = None


def resources() -> str:
    """The page of custom resources."""
    text = NOTE.format(source="src/metallb/api")
    text += (
        "# Resources\n\n"
        f"All are of the API group `{v1beta1.GROUP}` and belong in MetalLB's namespace (`metallb-system`): elsewhere "
        "they have no effect. `kubectl explain` shows the same texts.\n\n"
    )
    shared: dict[type, None] = {}
    for kind in KINDS:
        text += _kind(kind, shared)
    text += _service()
    text += "## Types of Kubernetes\n\nThese are passed on as they are; Kubernetes' own documentation says more.\n\n"
    return text + "".join(_struct(each, 3) for each in shared)


def _kind(kind: Kind, shared: dict[type, None]) -> str:
    columns = ", ".join(f"{each.name}{' (wide)' if each.priority else ''}" for each in kind.columns) or "Age"
    text = f"## {kind.name}\n\n{_doc(kind.model)}\n\n`kubectl get {kind.plural}` shows: {columns}.\n\n"
    text += f"```yaml\n{example(kind)}```\n\n"
    text += "".join(f"- {remark}\n" for remark in REMARKS[kind]) + "\n"
    text += _struct(kind.model, 0)
    for each in _structs(kind.model):
        if each.__module__.startswith("metallb.api.v1beta"):
            text += _struct(each, 3)
        else:
            shared.setdefault(each)
    return text


def example(kind: Kind) -> str:
    """An object of the kind, as a user writes it."""
    return (EXAMPLES / f"{kind.singular}.yaml").read_text()


def _structs(model: type) -> Iterator[type]:
    """The structs that a struct is made of, each once, those nearer to it first."""
    seen: dict[type, None] = {}
    waiting = [model]
    while waiting:
        for field in msgspec.structs.fields(waiting.pop(0)):
            struct = _shape(types.type_info(field.type)).struct
            if struct is not None and struct not in seen and field.encode_name != "metadata":
                seen[struct] = None
                waiting.append(struct)
    return iter(seen)


def _struct(model: type, level: int) -> str:
    """A heading (level 0: none) and the table of the fields."""
    rows = [_row(model, field) for field in msgspec.structs.fields(model) if field.encode_name != "metadata"]
    heading = f"{'#' * level} {model.__name__}\n\n{_doc(model)}\n\n" if level else ""
    return heading + table(["field", "type", "default", "meaning"], rows) + "\n"


def _row(model: type, field: msgspec.structs.FieldInfo) -> list[str]:
    described = schema_of(model)["properties"].get(field.encode_name, {}) if _is_published(model) else {}
    schema = schema_of(field.type) | described
    shape = _shape(types.type_info(field.type))
    meaning = " ".join([schema.get("description", ""), *_rules(schema)]).strip()
    return [f"`{field.encode_name}`", shape.text, _default(field, schema), meaning]


def _is_published(model: type) -> bool:
    return model.__module__ == "metallb.api.core"


def _default(field: msgspec.structs.FieldInfo, schema: JsonSchema) -> str:
    if field.required:
        return "required"
    default = schema.get("default", field.default)
    return f"`{str(default).lower()}`" if isinstance(default, bool | int) else ""


def _rules(schema: JsonSchema) -> Iterator[str]:
    if "x-kubernetes-int-or-string" in schema or "x-kubernetes-int-or-string" in schema.get("additionalProperties", {}):
        return  # a quantity: its pattern helps nobody
    if "enum" in schema:
        yield f"One of {', '.join(f'`{value}`' for value in schema['enum'])}."
    if "minimum" in schema and "maximum" in schema:
        yield f"From {schema['minimum']} to {schema['maximum']}."
    elif "minimum" in schema:
        yield f"At least {schema['minimum']}."
    if "maxLength" in schema:
        yield f"At most {schema['maxLength']} characters."
    if "pattern" in schema:
        yield f"Must match `{schema['pattern']}`."


def _shape(info: types.Type) -> Shape:
    if isinstance(info, types.Metadata):
        return Shape("quantity") if "anyOf" in (info.extra_json_schema or {}) else _shape(info.type)
    if isinstance(info, types.UnionType):
        return _shape(next(each for each in info.types if not isinstance(each, types.NoneType)))
    if isinstance(info, types.StructType):
        return Shape(f"[{info.cls.__name__}](#{info.cls.__name__.lower()})", info.cls)
    if isinstance(info, types.VarTupleType):
        item = _shape(info.item_type)
        return Shape(f"list of {item.text}", item.struct)
    if isinstance(info, types.DictType) and not isinstance(info.value_type, types.AnyType):
        value = _shape(info.value_type)
        return Shape(f"map of {value.text}", value.struct)
    return Shape(_SCALARS[type(info)])


_SCALARS: Final[dict[type[types.Type], str]] = {
    types.BoolType: "boolean",
    types.IntType: "integer",
    types.StrType: "string",
    types.LiteralType: "string",
    types.DictType: "object",
}


def _doc(model: type) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())


def _service() -> str:
    old = request.DEPRECATED_PREFIX
    rows = [
        [
            f"`{request.PREFIX}{request.ADDRESSES}`",
            "read",
            "Addresses asked for: one of each family, with a comma between.",
        ],
        [f"`{request.PREFIX}{request.POOL}`", "read", "Name of the pool asked for; also one with `autoAssign: false`."],
        [f"`{request.PREFIX}{request.SHARING}`", "read", "Services with the same value may share an address."],
        [f"`{POOL_ANNOTATION}`", "written", "The pool that the addresses are of."],
    ]
    fields = [
        ["`spec.type`", "`LoadBalancer`: gets addresses. With any other type the addresses are given back."],
        ["`spec.loadBalancerClass`", "Must be the class that MetalLB serves (`spec.loadBalancerClass` of `MetalLB`)."],
        ["`spec.loadBalancerIP`", "An address asked for; not together with the annotation."],
        [
            "`spec.ipFamilyPolicy`, `spec.clusterIPs`",
            "Which families are wanted ([dual stack](../concepts/addresses.md)).",
        ],
        ["`spec.externalTrafficPolicy`", "`Local`: only nodes with a ready pod of the Service announce."],
        ["`spec.ports`", "Services that share an address must have different ports (protocol and number)."],
        ["`spec.selector`", "With `Local`, Services must have the same selector to share an address."],
        ["`status.loadBalancer.ingress[].ip`", "Written: the addresses."],
        ["`status.conditions`", "Written: [why it waits](conditions.md#of-a-service), as long as it does."],
    ]
    return (
        "## Service\n\nWhat MetalLB reads of a Service of Kubernetes, and writes to it.\n\n"
        + table(["annotation", "", "meaning"], rows)
        + f"\nThe old prefix `{old}` is read where the annotation with the new one is absent.\n\n"
        + table(["field", "meaning"], fields)
        + f"\nA node with the label `{EXCLUDE_LABEL}` (any value) announces nothing, unless the "
        "speakers run with `--ignore-exclude-lb`.\n\n"
    )


# Flags

PROCESSES: Final = (
    ("controller", controller.FLAGS, metrics.CONTROLLER),
    ("speaker", speaker.FLAGS, metrics.SPEAKER),
    ("operator", operator.FLAGS, metrics.OPERATOR),
)


def flags() -> str:
    """The page of command-line flags and environment variables."""
    text = NOTE.format(source="src/metallb/cli")
    text += (
        "# Flags and environment\n\n"
        "Flags are read as Go reads them: `--port=9120`, `-port=9120` and `-port 9120` are the same; a switch needs no "
        "value. A flag on the command line wins over the environment, which wins over the default; an empty variable "
        "counts as absent. A value that can't be ends the process with exit code 1 and a line that names it.\n\n"
        "*Without effect* means: accepted, so that upstream's manifests work, and named in a warning at the start.\n\n"
        "On a cluster the operator sets the flags of controller and speaker from the `MetalLB` resource.\n\n"
    )
    for name, table_of, _ in PROCESSES:
        text += f"## metallb {name}\n\n"
        text += table(["flag", "environment", "default", "meaning"], [_flag(each) for each in table_of]) + "\n"
        if name != "operator":
            text += (
                "`METALLB_BGP_TYPE` (environment only): `native` where it is absent, `frr` or `frr-k8s`. "
                "Only `native` has an effect in this version.\n\n"
            )
    return text.rstrip("\n") + "\n"


def _flag(flag: Flag) -> list[str]:
    name = f"`--{flag.name}`" if flag.name else ""
    words = [flag.help]
    if flag.inert:
        words.append(f"*Without effect: {flag.inert}.*")
    return [name, f"`{flag.env}`" if flag.env else "", f"`{flag.default}`" if flag.default else "", " ".join(words)]


# Metrics


def metrics_page() -> str:
    """The page of metrics."""
    text = NOTE.format(source="src/metallb/telemetry/metrics.py")
    text += (
        "# Metrics\n\n"
        "Controller and speakers serve them at `https://<pod>:9120/metrics`, in Prometheus' text format. A request "
        "needs the bearer token of someone who may `get` the path `/metrics`; the process asks the API server "
        "(TokenReview, SubjectAccessReview). To look at them by hand: [find out why](../how-to/find-out-why.md).\n\n"
        "The names are upstream's. Some gauges end in `_total` and some counters don't; both stay as they are, so that "
        "dashboards go on to work. A metric with labels has no samples until there is something to show.\n\n"
    )
    for name, _, declared in PROCESSES:
        text += f"## {name.capitalize()}\n\n"
        if name == "operator":
            text += "Served only with `--metrics-addr`, for example `:8443`; the same rules hold.\n\n"
        rows = [_metric(each) for each in declared]
        text += table(["metric", "kind", "labels", "meaning"], rows) + "\n"
        if name == "speaker":
            text += f"Reasons of `{metrics.LAYER2_DROPPED.name}`:\n\n"
            text += table(["reason", "meaning"], [[f"`{each}`", why] for each, why in DROPPED.items()]) + "\n"
    return text + "Beside these the usual `process_*` metrics: CPU, memory, open files, start time.\n"


def _metric(metric: Metric) -> list[str]:
    meaning = metric.help.replace("<", "&lt;")
    return [f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), meaning]


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
