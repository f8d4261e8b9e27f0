"""What is in a pod's volumes: the files of ConfigMaps, Secrets, pod fields and tokens. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import NamedTuple, TypeAlias

from kubelab.kubelet.environment import Lookup, MissingError, PendingError, Place, data_of, field_value
from kubelab.kubelet.podspec import DownwardFile, FilesVolume, Keys, Pod, Source, Token, Volume


class File(NamedTuple):
    """Content and permission bits."""

    data: bytes
    mode: int


Files: TypeAlias = dict[str, File]
"""By path below the volume's root."""

Tokens: TypeAlias = Callable[[Token], str | None]
"""A valid token, None if there is none yet; raises MissingError if it was refused."""


def content(volume: FilesVolume, pod: Pod, place: Place, lookup: Lookup, tokens: Tokens) -> Files:
    """All files of a volume.

    Raises:
        MissingError: something that is not optional is not there; worded as the kubelet's FailedMount.
    """
    files: Files = {}
    for source in volume.sources:
        for path, data, mode in _source(source, pod, place, lookup, tokens):
            if not _is_inside(path):
                raise MissingError(f'path "{path}" must be relative and must not contain ".."')
            files[path] = File(data, _shared(volume.mode if mode is None else mode, pod))
    return files


def references(volumes: Iterable[Volume]) -> set[tuple[str, str]]:
    """The (kind, name) of every ConfigMap and Secret that volumes refer to."""
    return {
        (source.kind, source.name)
        for volume in volumes
        if isinstance(volume, FilesVolume)
        for source in volume.sources
        if isinstance(source, Keys)
    }


def tokens_of(volumes: Iterable[Volume]) -> set[Token]:
    """The tokens that volumes want."""
    return {
        source
        for volume in volumes
        if isinstance(volume, FilesVolume)
        for source in volume.sources
        if isinstance(source, Token)
    }


def failed_mount(volume: str, problem: str) -> str:
    """The text of a FailedMount event."""
    return f'MountVolume.SetUp failed for volume "{volume}" : {problem}'


_Row: TypeAlias = tuple[str, bytes, int | None]


def _source(source: Source, pod: Pod, place: Place, lookup: Lookup, tokens: Tokens) -> list[_Row]:
    match source:
        case Keys():
            return _keys(source, lookup)
        case DownwardFile(path, field_path, mode):
            return [(path, field_value(pod, place, field_path).encode(), mode)]
        case Token(path):
            token = tokens(source)
            if token is None:
                raise PendingError(f'no token for service account "{pod.service_account}" yet')
            return [(path, token.encode(), None)]


def _keys(source: Keys, lookup: Lookup) -> list[_Row]:
    obj = lookup(source.kind, source.name)
    if obj is None:
        if source.optional:
            return []
        raise MissingError(f'{source.kind} "{source.name}" not found')
    data = data_of(source.kind, obj)
    if not source.items:
        return [(key, value, None) for key, value in sorted(data.items())]
    rows: list[_Row] = []
    for item in source.items:
        if item.key in data:
            rows.append((item.path, data[item.key], item.mode))
        elif not source.optional:
            raise MissingError(f"references non-existent {source.kind} key: {item.key}")
    return rows


def _shared(mode: int, pod: Pod) -> int:
    """With an fsGroup the group may read whatever the owner may (kubelet: SetVolumeOwnership)."""
    return mode | 0o440 if pod.fs_group is not None else mode


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts
