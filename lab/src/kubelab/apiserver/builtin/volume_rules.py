"""Rules of a pod's volumes: one source each, and what a source needs."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Object

_HOST_TYPES: Final = frozenset(
    {"", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"}
)


def volume_errors(volumes: list[Object], path: str) -> tuple[list[FieldError], frozenset[str]]:
    """Every broken rule, and the names that mounts may refer to."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, volume in enumerate(volumes):
        place = f"{path}[{number}]"
        name = volume.get("name") or ""
        errors += _source_errors(volume, place)
        if not name:
            errors.append(fields.required(f"{place}.name"))
        else:
            errors += names.syntax_errors(f"{place}.name", name, names.dns_label)
        if name in seen:
            errors.append(fields.duplicate(f"{place}.name", name))
        seen.add(name)
    return errors, frozenset(seen)


def _source_errors(volume: Object, path: str) -> list[FieldError]:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        return [fields.required(path, "must specify a volume type")]
    errors = _one_source_errors(sources[0], entries(volume[sources[0]]), path)
    errors += [fields.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type") for extra in sources[1:]]
    return errors


def _one_source_errors(kind: str, source: Object, path: str) -> list[FieldError]:
    place = f"{path}.{kind}"
    if kind == "hostPath":
        return _host_path_errors(source, place)
    if kind == "secret":
        return [] if source.get("secretName") else [fields.required(f"{place}.secretName")]
    if kind == "configMap":
        return [] if source.get("name") else [fields.required(f"{place}.name")]
    if kind == "persistentVolumeClaim":
        return [] if source.get("claimName") else [fields.required(f"{place}.claimName")]
    if kind == "projected":
        return _projected_errors(source, place)
    return []


def _host_path_errors(source: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    place = source.get("path") or ""
    if not place:
        return [fields.required(f"{path}.path")]
    if ".." in place.split("/"):
        errors.append(fields.invalid(f"{path}.path", place, "must not contain '..'"))
    kind = source.get("type") or ""
    if kind not in _HOST_TYPES:
        errors.append(fields.unsupported(f"{path}.type", kind, _HOST_TYPES - {""}))
    return errors


def _projected_errors(source: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, one in enumerate(items(source.get("sources"))):
        place = f"{path}.sources[{number}]"
        token = one.get("serviceAccountToken")
        if token is not None and not token.get("path"):
            errors.append(fields.required(f"{place}.serviceAccountToken.path"))
        if token is not None and token.get("expirationSeconds", 600) < 600:  # noqa: PLR2004  # seconds, ten minutes
            refused = "may not specify a duration less than 10 minutes"
            errors.append(
                fields.invalid(f"{place}.serviceAccountToken.expirationSeconds", token["expirationSeconds"], refused)
            )
        errors += [
            fields.required(f"{place}.{kind}.name")
            for kind in ("secret", "configMap")
            if one.get(kind) is not None and not one[kind].get("name")
        ]
    return errors
