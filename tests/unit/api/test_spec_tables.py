"""The resources field by field: names, types, formats, defaults and constraints as the API's specification has them.

A row is a field and its schema: type (`int32`, `int64` are integers of that format), then what constrains it. Lists
have their items' rows under `[]`. What has no row does not exist. What MetalLB's own API lacks follows a `+`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metallb.api import kinds
from metallb.api.schema import Kind, OldVersion, definition, object_schema

Json = dict[str, Any]

SELECTOR = """
object map=atomic
matchLabels: map of string
matchExpressions: list atomic
matchExpressions[]: object
matchExpressions[].key: string required
matchExpressions[].operator: string required
matchExpressions[].values: list atomic
matchExpressions[].values[]: string
"""

CONDITION = """
object
lastTransitionTime: string date-time required
message: string required maxLength=32768
observedGeneration: int64 min=0
reason: string required minLength=1 maxLength=1024 pattern=^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$
status: string required enum=True|False|Unknown
type: string required maxLength=316 pattern=^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$
"""


TABLES: dict[tuple[str, str], str] = {
    ("IPAddressPool", "v1beta1"): """
        spec: object required
        spec.addresses: list required
        spec.addresses[]: string
        spec.autoAssign: boolean default=True
        spec.avoidBuggyIPs: boolean default=False
        spec.serviceAllocation: object
        spec.serviceAllocation.priority: integer
        spec.serviceAllocation.namespaces: list
        spec.serviceAllocation.namespaces[]: string
        spec.serviceAllocation.namespaceSelectors: list
        spec.serviceAllocation.namespaceSelectors[]: LabelSelector
        spec.serviceAllocation.serviceSelectors: list
        spec.serviceAllocation.serviceSelectors[]: LabelSelector
        status: object
        status.assignedIPv4: int64 required
        status.assignedIPv6: int64 required
        status.availableIPv4: int64 required
        status.availableIPv6: int64 required
        + status.reservations: list
        + status.reservations[]: object
        + status.reservations[].service: string required
        + status.reservations[].addresses: list required
        + status.reservations[].addresses[]: string
        + status.reservations[].until: string required
    """,
    ("L2Advertisement", "v1beta1"): """
        spec: object
        spec.ipAddressPools: list
        spec.ipAddressPools[]: string
        spec.ipAddressPoolSelectors: list
        spec.ipAddressPoolSelectors[]: LabelSelector
        spec.nodeSelectors: list
        spec.nodeSelectors[]: LabelSelector
        spec.interfaces: list
        spec.interfaces[]: string
        spec.serviceSelectors: list
        spec.serviceSelectors[]: LabelSelector
        spec.preferredNodeSelectors: list
        spec.preferredNodeSelectors[]: object
        spec.preferredNodeSelectors[].weight: int32 required min=1 max=100
        spec.preferredNodeSelectors[].preference: LabelSelector required
        status: object
    """,
    ("BGPAdvertisement", "v1beta1"): """
        spec: object rules=1
        spec.aggregationLength: int32 min=1 default=32
        spec.aggregationLengthV6: int32 default=128
        spec.localPref: int32
        spec.communities: list
        spec.communities[]: string
        spec.ipAddressPools: list
        spec.ipAddressPools[]: string
        spec.ipAddressPoolSelectors: list
        spec.ipAddressPoolSelectors[]: LabelSelector
        spec.nodeSelectors: list
        spec.nodeSelectors[]: LabelSelector
        spec.peers: list
        spec.peers[]: string
        spec.serviceSelectors: list
        spec.serviceSelectors[]: LabelSelector
        status: object
    """,
    ("BGPPeer", "v1beta2"): """
        spec: object
        spec.myASN: int64 required min=0 max=4294967295
        spec.peerASN: int64 min=0 max=4294967295
        spec.localASN: int64 min=1 max=4294967295
        spec.dynamicASN: string enum=internal|external
        spec.peerAddress: string
        spec.interface: string
        spec.sourceAddress: string
        spec.peerPort: integer min=1 max=16384 default=179
        spec.holdTime: string
        spec.keepaliveTime: string
        spec.connectTime: string rules=2
        spec.routerID: string
        spec.nodeSelectors: list
        spec.nodeSelectors[]: LabelSelector
        spec.password: string
        spec.passwordSecret: object map=atomic
        spec.passwordSecret.name: string
        spec.passwordSecret.namespace: string
        spec.bfdProfile: string
        spec.enableGracefulRestart: boolean rules=1
        spec.ebgpMultiHop: boolean
        spec.vrf: string
        spec.disableMP: boolean default=False
        spec.dualStackAddressFamily: boolean default=False
        status: object
    """,
    ("BGPPeer", "v1beta1"): """
        spec: object
        spec.myASN: int64 required min=0 max=4294967295
        spec.peerASN: int64 required min=0 max=4294967295
        spec.peerAddress: string required
        spec.sourceAddress: string
        spec.peerPort: integer min=0 max=16384
        spec.holdTime: string
        spec.keepaliveTime: string
        spec.routerID: string
        spec.nodeSelectors: list
        spec.nodeSelectors[]: object
        spec.nodeSelectors[].matchLabels: map of string
        spec.nodeSelectors[].matchExpressions: list
        spec.nodeSelectors[].matchExpressions[]: object
        spec.nodeSelectors[].matchExpressions[].key: string required
        spec.nodeSelectors[].matchExpressions[].operator: string required
        spec.nodeSelectors[].matchExpressions[].values: list required minItems=1
        spec.nodeSelectors[].matchExpressions[].values[]: string
        spec.password: string
        spec.bfdProfile: string
        spec.ebgpMultiHop: boolean
        status: object
    """,
    ("BFDProfile", "v1beta1"): """
        spec: object
        spec.receiveInterval: int32 min=10 max=60000
        spec.transmitInterval: int32 min=10 max=60000
        spec.detectMultiplier: int32 min=2 max=255
        spec.echoInterval: int32 min=10 max=60000
        spec.echoMode: boolean
        spec.passiveMode: boolean
        spec.minimumTtl: int32 min=1 max=254
        status: object
    """,
    ("Community", "v1beta1"): """
        spec: object
        spec.communities: list
        spec.communities[]: object
        spec.communities[].name: string
        spec.communities[].value: string
        status: object
    """,
    ("ServiceL2Status", "v1beta1"): """
        spec: object
        status: object
        status.node: string rules=1
        status.serviceName: string rules=1
        status.serviceNamespace: string rules=1
        status.interfaces: list
        status.interfaces[]: object
        status.interfaces[].name: string
        + status.conflicts: list
        + status.conflicts[]: object
        + status.conflicts[].address: string required
        + status.conflicts[].interface: string required
        + status.conflicts[].mac: string required
        + status.conflicts[].announced: boolean
    """,
    ("ServiceBGPStatus", "v1beta1"): """
        spec: object
        status: object
        status.node: string rules=1
        status.serviceName: string rules=1
        status.serviceNamespace: string rules=1
        status.peers: list
        status.peers[]: string
    """,
    ("ConfigurationState", "v1beta1"): """
        status: object
        status.result: string enum=Valid|Invalid|Unknown
        status.errorSummary: string
        status.conditions: list map=type
        status.conditions[]: Condition
    """,
}

NAMES = {
    "IPAddressPool": ("ipaddresspools", "ipaddresspool", "IPAddressPoolList"),
    "L2Advertisement": ("l2advertisements", "l2advertisement", "L2AdvertisementList"),
    "BGPAdvertisement": ("bgpadvertisements", "bgpadvertisement", "BGPAdvertisementList"),
    "BGPPeer": ("bgppeers", "bgppeer", "BGPPeerList"),
    "BFDProfile": ("bfdprofiles", "bfdprofile", "BFDProfileList"),
    "Community": ("communities", "community", "CommunityList"),
    "ServiceL2Status": ("servicel2statuses", "servicel2status", "ServiceL2StatusList"),
    "ServiceBGPStatus": ("servicebgpstatuses", "servicebgpstatus", "ServiceBGPStatusList"),
    "ConfigurationState": ("configurationstates", "configurationstate", "ConfigurationStateList"),
}

COLUMNS = {
    "IPAddressPool": """
        Auto Assign boolean .spec.autoAssign
        Avoid Buggy IPs boolean .spec.avoidBuggyIPs
        Addresses string .spec.addresses
    """,
    "L2Advertisement": """
        IPAddressPools string .spec.ipAddressPools
        IPAddressPool Selectors string .spec.ipAddressPoolSelectors
        Interfaces string .spec.interfaces
        Node Selectors string .spec.nodeSelectors 10
    """,
    "BGPAdvertisement": """
        IPAddressPools string .spec.ipAddressPools
        IPAddressPool Selectors string .spec.ipAddressPoolSelectors
        Peers string .spec.peers
        Node Selectors string .spec.nodeSelectors 10
    """,
    "BGPPeer": """
        Address string .spec.peerAddress
        ASN string .spec.peerASN
        BFD Profile string .spec.bfdProfile
        Multi Hops string .spec.ebgpMultiHop
    """,
    "BFDProfile": """
        Passive Mode boolean .spec.passiveMode
        Transmit Interval integer .spec.transmitInterval
        Receive Interval integer .spec.receiveInterval
        Multiplier integer .spec.detectMultiplier
    """,
    "Community": "",
    "ServiceL2Status": """
        Allocated Node string .status.node
        Service Name string .status.serviceName
        Service Namespace string .status.serviceNamespace
    """,
    "ServiceBGPStatus": """
        Node string .status.node
        Service Name string .status.serviceName
        Service Namespace string .status.serviceNamespace
    """,
    "ConfigurationState": """
        Result string .status.result
        ErrorSummary string .status.errorSummary
        Age date .metadata.creationTimestamp
    """,
}

VERSIONS: dict[tuple[str, str], Kind | OldVersion] = {
    **{(kind.name, kind.version): kind for kind in kinds.KINDS},
    **{(kind.name, old.version): old for kind in kinds.KINDS for old in kind.old},
}


def rows_of(text: str) -> list[str]:
    return sorted(line.strip().removeprefix("+ ") for line in text.splitlines() if line.strip())


def described(schema: Json, *, required: bool = False) -> str:
    """One field, as a row has it."""
    kind, form = schema["type"], schema.get("format", "")
    words = [str(form if kind == "integer" and form else {"array": "list"}.get(kind, kind))]
    if kind == "object" and "additionalProperties" in schema:
        words = [f"map of {schema['additionalProperties']['type']}"]
    if kind == "string" and form:
        words.append(form)
    list_type = schema.get("x-kubernetes-list-type", "")
    if list_type:
        words.append(list_type if list_type == "atomic" else f"map={','.join(schema['x-kubernetes-list-map-keys'])}")
    if "x-kubernetes-map-type" in schema:
        words.append(f"map={schema['x-kubernetes-map-type']}")
    words += ["required"] if required else []
    for name, word in (
        ("minimum", "min"),
        ("maximum", "max"),
        ("minItems",) * 2,
        ("minLength",) * 2,
        ("maxLength",) * 2,
        ("pattern",) * 2,
    ):
        words += [f"{word}={schema[name]}"] if name in schema else []
    words += [f"enum={'|'.join(schema['enum'])}"] if "enum" in schema else []
    words += [f"default={schema['default']}"] if "default" in schema else []
    rules = schema.get("x-kubernetes-validations", ())
    return " ".join([*words, *([f"rules={len(rules)}"] if rules else [])])


def table_of(schema: Json, path: str = "", *, required: bool = False, named: bool = True) -> Iterator[str]:
    """The rows of a schema; known types by their names."""
    prefix = f"{path}: " if path else ""
    for name, text in (("LabelSelector", SELECTOR), ("Condition", CONDITION)) if named else ():
        if sorted(table_of(schema, named=False)) == rows_of(text):
            yield f"{prefix}{name}{' required' if required else ''}"
            return
    yield f"{prefix}{described(schema, required=required)}"
    wanted = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield from table_of(each, f"{path}.{name}".lstrip("."), required=name in wanted, named=named)
    if "items" in schema:
        yield from table_of(schema["items"], f"{path}[]", named=named)


@pytest.mark.parametrize("of", list(TABLES), ids="/".join)
def test_fields_are_those_of_the_specification(of: tuple[str, str]) -> None:
    found = list(table_of(object_schema(VERSIONS[of])))
    own = [row for row in found if row.partition(":")[0].partition(".")[0] in {"spec", "status"}]
    assert sorted(own) == rows_of(TABLES[of])
    assert sorted(set(found) - set(own)) == ["apiVersion: string", "kind: string", "metadata: object", "object"]


def test_every_kind_has_its_table() -> None:
    assert set(VERSIONS) == {*TABLES, ("MetalLB", "v1beta1")}
    assert {kind.name for kind in kinds.KINDS} == {*NAMES, "MetalLB"}


@pytest.mark.parametrize("kind", [each for each in kinds.KINDS if each.name in NAMES], ids=lambda kind: kind.name)
def test_names_scope_and_columns_are_those_of_the_specification(kind: Kind) -> None:
    made = definition(kind)
    spec = made["spec"]
    plural, singular, listed = NAMES[kind.name]
    assert made["metadata"]["name"] == f"{plural}.metallb.io"
    assert (spec["group"], spec["scope"]) == ("metallb.io", "Namespaced")
    assert spec["names"] == {"kind": kind.name, "listKind": listed, "plural": plural, "singular": singular}
    for version in spec["versions"]:
        columns = version.get("additionalPrinterColumns", [])
        texts = [
            " ".join(str(each[k]) for k in ("name", "type", "jsonPath", "priority") if k in each) for each in columns
        ]
        assert texts == [line.strip() for line in COLUMNS[kind.name].splitlines() if line.strip()]
        assert version["subresources"] == {"status": {}}


def test_versions_are_those_of_the_specification() -> None:
    flags = {
        (kind.name, each["name"]): (each["storage"], each.get("deprecated", False), each.get("deprecationWarning", ""))
        for kind in kinds.KINDS
        for each in definition(kind)["spec"]["versions"]
    }
    assert flags.pop(("BGPPeer", "v1beta1")) == (False, True, "v1beta1 is deprecated, please use v1beta2")
    assert set(flags.values()) == {(True, False, "")}
    assert dict(flags.keys()) == dict.fromkeys(NAMES, "v1beta1") | {
        "BGPPeer": "v1beta2",
        "MetalLB": "v1beta1",
    }
