"""The resources of `metallb.io/v1beta1` in which MetalLB tells what it does: users read them and write none.

Source: spec/crds.md 8, 9.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from metallb.api import rules
from metallb.api.core import Condition, Model, ObjectMeta
from metallb.api.net import ServiceKey

NODE_LABEL: Final = "metallb.io/node"
NAME_LABEL: Final = "metallb.io/service-name"
NAMESPACE_LABEL: Final = "metallb.io/service-namespace"


class Interface(Model, frozen=True):
    """An interface of a node."""

    name: Annotated[str, Meta(description="Name of the interface.")] = ""


class AddressConflict(Model, frozen=True):
    """A host outside the cluster that uses an address of the Service."""

    address: Annotated[str, Meta(description="The address.")]
    interface: Annotated[str, Meta(description="Name of the node's interface on whose network the host is.")]
    mac: Annotated[str, Meta(description="The host's Ethernet address.")]
    announced: Annotated[
        bool, Meta(description="Whether the node announces the address there all the same; otherwise the host has it.")
    ] = False


class ServiceL2StatusStatus(Model, frozen=True):
    """Who announces a Service by ARP and NDP."""

    node: Annotated[
        str,
        Meta(
            description="The node that announces it; none while other hosts have all its addresses.",
            extra_json_schema=rules.validations(rules.NODE_FIXED),
        ),
    ] = ""
    service_name: Annotated[
        str, Meta(description="Name of the Service.", extra_json_schema=rules.validations(rules.SERVICE_NAME_FIXED))
    ] = ""
    service_namespace: Annotated[
        str,
        Meta(
            description="Namespace of the Service.", extra_json_schema=rules.validations(rules.SERVICE_NAMESPACE_FIXED)
        ),
    ] = ""
    interfaces: Annotated[
        tuple[Interface, ...], Meta(description="Interfaces on which it is announced; empty means all.")
    ] = ()
    conflicts: Annotated[
        tuple[AddressConflict, ...],
        Meta(description="Hosts outside the cluster that use its addresses, as the node's speaker sees it."),
    ] = ()


class ServiceL2Status(Model, frozen=True):
    """Tells which node announces a Service on the local network."""

    metadata: ObjectMeta = ObjectMeta()
    spec: Annotated[dict[str, Any], Meta(description="Empty.")] = {}
    status: ServiceL2StatusStatus = ServiceL2StatusStatus()


def service_of(found: ServiceL2Status) -> ServiceKey | None:
    """The Service that a ServiceL2Status is about, by its labels; None: they don't say."""
    namespace, name = found.metadata.labels.get(NAMESPACE_LABEL), found.metadata.labels.get(NAME_LABEL)
    return ServiceKey(namespace, name) if namespace and name else None


class ServiceBGPStatusStatus(Model, frozen=True):
    """To whom a node announces a Service by BGP."""

    node: Annotated[
        str, Meta(description="The node that announces it.", extra_json_schema=rules.validations(rules.NODE_FIXED))
    ] = ""
    service_name: Annotated[
        str, Meta(description="Name of the Service.", extra_json_schema=rules.validations(rules.SERVICE_NAME_FIXED))
    ] = ""
    service_namespace: Annotated[
        str,
        Meta(
            description="Namespace of the Service.", extra_json_schema=rules.validations(rules.SERVICE_NAMESPACE_FIXED)
        ),
    ] = ""
    peers: Annotated[
        tuple[str, ...],
        Meta(description="BGPPeers that it is meant for, by name, whether or not their sessions are up."),
    ] = ()


class ServiceBGPStatus(Model, frozen=True):
    """Tells to which BGPPeers a node announces a Service."""

    metadata: ObjectMeta = ObjectMeta()
    spec: Annotated[dict[str, Any], Meta(description="Empty.")] = {}
    status: ServiceBGPStatusStatus = ServiceBGPStatusStatus()


class ConfigurationStateStatus(Model, frozen=True):
    """What one component made of the configuration."""

    result: Annotated[
        Literal["Valid", "Invalid", "Unknown"] | None,
        Meta(
            description="Whether the component could use all of it.",
            extra_json_schema={"enum": ["Valid", "Invalid", "Unknown"]},
        ),
    ] = None
    error_summary: Annotated[str, Meta(description="What is wrong, a line for each error.")] = ""
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            description="What each part of the component found.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()


class ConfigurationState(Model, frozen=True):
    """Tells what the controller, or the speaker of one node, makes of the configuration."""

    metadata: ObjectMeta = ObjectMeta()
    status: ConfigurationStateStatus = ConfigurationStateStatus()
