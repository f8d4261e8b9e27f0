"""BGPPeers between their two versions: v1beta2 is stored, v1beta1 is what older clients write.

Objects are JSON, so that metadata passes whole. Fields that v1beta1 lacks travel in an annotation: a client of v1beta1
that reads a peer and writes it back takes nothing away. Timers that are absent stay absent; defaults are for the API
server to put in again.
Source: spec/crds.md 5, 13 (2).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from metallb.api import v1beta1, v1beta2

Object = dict[str, Any]

KEPT_FIELDS = "metallb.io/v1beta2-fields"
"""The annotation of a v1beta1 object with the fields of v1beta2 that v1beta1 lacks, as JSON."""


class ConversionError(ValueError):
    """An object that can't be converted; the text names it, the field and the rule."""


class _Kept(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What v1beta1 has no place for."""

    local_asn: int | UnsetType = field(default=UNSET, name="localASN")
    dynamic_asn: str | UnsetType = field(default=UNSET, name="dynamicASN")
    interface: str | UnsetType = UNSET
    connect_time: str | UnsetType = UNSET
    password_secret: dict[str, str] | UnsetType = UNSET
    enable_graceful_restart: bool | UnsetType = UNSET
    vrf: str | UnsetType = UNSET
    disable_mp: bool | UnsetType = field(default=UNSET, name="disableMP")
    dual_stack_address_family: bool | UnsetType = UNSET


_KEPT = frozenset(each.encode_name for each in msgspec.structs.fields(_Kept))
# What the API server puts into v1beta2 by itself.
_DEFAULTS: Object = {"disableMP": False, "dualStackAddressFamily": False}
# Required by v1beta1, and with these values in v1beta2 the same as absent.
_EMPTY: Object = {"peerASN": 0, "peerAddress": ""}


def convert(peer: Object, api_version: str) -> Object:
    """The same BGPPeer in another version; `peer` itself is left as it is.

    Raises:
        ConversionError: it is no BGPPeer, one of the versions is unknown, or the annotation can't be read.
    """
    if peer.get("kind") != "BGPPeer":
        raise ConversionError(f"{_name(peer)}: kind {peer.get('kind')!r} has one version only, nothing to convert")
    for version in (peer.get("apiVersion"), api_version):
        if version not in {v1beta1.API_VERSION, v1beta2.API_VERSION}:
            raise ConversionError(f"BGPPeer {_name(peer)}: there is no version {version!r}")
    if peer["apiVersion"] == api_version:
        return peer
    return _upward(peer) if api_version == v1beta2.API_VERSION else _downward(peer)


def _upward(peer: Object) -> Object:
    annotations = dict(_annotations(peer))
    kept = _read_kept(peer, annotations.pop(KEPT_FIELDS, "{}"))
    found = _with_annotations(peer, annotations) | {"apiVersion": v1beta2.API_VERSION}
    if isinstance(peer.get("spec"), dict):
        spec = {name: value for name, value in peer["spec"].items() if value != _EMPTY.get(name, UNSET)}
        found["spec"] = kept | spec
    return found


def _downward(peer: Object) -> Object:
    annotations = {name: value for name, value in _annotations(peer).items() if name != KEPT_FIELDS}
    found: Object = {"apiVersion": v1beta1.API_VERSION}
    if isinstance(spec := peer.get("spec"), dict):
        kept = {name: value for name, value in spec.items() if name in _KEPT and value != _DEFAULTS.get(name, UNSET)}
        if kept:
            annotations[KEPT_FIELDS] = msgspec.json.encode(kept, order="sorted").decode()
        found["spec"] = _EMPTY | {name: value for name, value in spec.items() if name not in _KEPT}
    return _with_annotations(peer, annotations) | found


def _read_kept(peer: Object, text: str) -> Object:
    try:
        kept = msgspec.json.decode(text, type=_Kept)
    except msgspec.DecodeError as error:
        raise ConversionError(f"BGPPeer {_name(peer)}: annotation {KEPT_FIELDS}: {error}") from error
    return dict(msgspec.to_builtins(kept))


def _annotations(peer: Object) -> dict[str, str]:
    return peer.get("metadata", {}).get("annotations") or {}


def _with_annotations(peer: Object, annotations: dict[str, str]) -> Object:
    """The peer with these annotations; what is equal stays as it was written."""
    if annotations == _annotations(peer):
        return dict(peer)
    metadata = {name: value for name, value in peer.get("metadata", {}).items() if name != "annotations"}
    return peer | {"metadata": metadata | ({"annotations": annotations} if annotations else {})}


def _name(peer: Object) -> str:
    metadata = peer.get("metadata", {})
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
