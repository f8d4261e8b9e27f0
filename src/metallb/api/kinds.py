"""The custom resources that are served, with their names and columns; `manifests/crds` is generated from here."""

from __future__ import annotations

from metallb.api import v1beta1, v1beta1_bgp, v1beta1_states, v1beta2
from metallb.api.schema import Column, Conversion, Kind, OldVersion


def _condition(name: str) -> Column:
    return Column(name, "string", f'.status.conditions[?(@.type=="{name}")].status')


METALLB = Kind(
    model=v1beta1.MetalLB,
    version=v1beta1.VERSION,
    plural="metallbs",
    singular="metallb",
    columns=(
        _condition("Available"),
        _condition("Degraded"),
        _condition("Progressing"),
        Column("Age", "date", ".metadata.creationTimestamp"),
    ),
)

IP_ADDRESS_POOL = Kind(
    model=v1beta1.IPAddressPool,
    version=v1beta1.VERSION,
    plural="ipaddresspools",
    singular="ipaddresspool",
    columns=(
        Column("Auto Assign", "boolean", ".spec.autoAssign"),
        Column("Avoid Buggy IPs", "boolean", ".spec.avoidBuggyIPs"),
        Column("Addresses", "string", ".spec.addresses"),
    ),
    spec_required=True,
)

L2_ADVERTISEMENT = Kind(
    model=v1beta1.L2Advertisement,
    version=v1beta1.VERSION,
    plural="l2advertisements",
    singular="l2advertisement",
    columns=(
        Column("IPAddressPools", "string", ".spec.ipAddressPools"),
        Column("IPAddressPool Selectors", "string", ".spec.ipAddressPoolSelectors"),
        Column("Interfaces", "string", ".spec.interfaces"),
        Column("Node Selectors", "string", ".spec.nodeSelectors", priority=10),
    ),
)

BGP_ADVERTISEMENT = Kind(
    model=v1beta1_bgp.BGPAdvertisement,
    version=v1beta1.VERSION,
    plural="bgpadvertisements",
    singular="bgpadvertisement",
    columns=(
        Column("IPAddressPools", "string", ".spec.ipAddressPools"),
        Column("IPAddressPool Selectors", "string", ".spec.ipAddressPoolSelectors"),
        Column("Peers", "string", ".spec.peers"),
        Column("Node Selectors", "string", ".spec.nodeSelectors", priority=10),
    ),
)

BGP_PEER = Kind(
    model=v1beta2.BGPPeer,
    version=v1beta2.VERSION,
    plural="bgppeers",
    singular="bgppeer",
    columns=(
        Column("Address", "string", ".spec.peerAddress"),
        Column("ASN", "string", ".spec.peerASN"),
        Column("BFD Profile", "string", ".spec.bfdProfile"),
        Column("Multi Hops", "string", ".spec.ebgpMultiHop"),
    ),
    old=(
        OldVersion(
            model=v1beta1_bgp.BGPPeer,
            version=v1beta1.VERSION,
            warning="v1beta1 is deprecated, please use v1beta2",
            served=True,
        ),
    ),
    # With the other strategy the API server would only change `apiVersion`: a client of v1beta1 that writes a peer back
    # would take away the fields it can't see.
    conversion=Conversion("metallb-webhook-service", "metallb-system", "/convert"),
)

BFD_PROFILE = Kind(
    model=v1beta1_bgp.BFDProfile,
    version=v1beta1.VERSION,
    plural="bfdprofiles",
    singular="bfdprofile",
    columns=(
        Column("Passive Mode", "boolean", ".spec.passiveMode"),
        Column("Transmit Interval", "integer", ".spec.transmitInterval"),
        Column("Receive Interval", "integer", ".spec.receiveInterval"),
        Column("Multiplier", "integer", ".spec.detectMultiplier"),
    ),
)

COMMUNITY = Kind(
    model=v1beta1_bgp.Community,
    version=v1beta1.VERSION,
    plural="communities",
    singular="community",
)

SERVICE_L2_STATUS = Kind(
    model=v1beta1_states.ServiceL2Status,
    version=v1beta1.VERSION,
    plural="servicel2statuses",
    singular="servicel2status",
    columns=(
        Column("Allocated Node", "string", ".status.node"),
        Column("Service Name", "string", ".status.serviceName"),
        Column("Service Namespace", "string", ".status.serviceNamespace"),
    ),
)

SERVICE_BGP_STATUS = Kind(
    model=v1beta1_states.ServiceBGPStatus,
    version=v1beta1.VERSION,
    plural="servicebgpstatuses",
    singular="servicebgpstatus",
    columns=(
        Column("Node", "string", ".status.node"),
        Column("Service Name", "string", ".status.serviceName"),
        Column("Service Namespace", "string", ".status.serviceNamespace"),
    ),
)

CONFIGURATION_STATE = Kind(
    model=v1beta1_states.ConfigurationState,
    version=v1beta1.VERSION,
    plural="configurationstates",
    singular="configurationstate",
    columns=(
        Column("Result", "string", ".status.result"),
        Column("ErrorSummary", "string", ".status.errorSummary"),
        Column("Age", "date", ".metadata.creationTimestamp"),
    ),
)

KINDS = (
    METALLB,
    IP_ADDRESS_POOL,
    L2_ADVERTISEMENT,
    BGP_ADVERTISEMENT,
    BGP_PEER,
    BFD_PROFILE,
    COMMUNITY,
    SERVICE_L2_STATUS,
    SERVICE_BGP_STATUS,
    CONFIGURATION_STATE,
)
