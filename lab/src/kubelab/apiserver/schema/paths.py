"""The paths of OpenAPI documents: what clients look up there.

kubectl finds a resource's kind by its path (`explain`), and by the parameters of `patch` whether the server knows
`dryRun` and `fieldValidation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from kubelab.apiserver.schema.builtin import META
from kubelab.apiserver.schema.dialects import WRITTEN, Dialect
from kubelab.objects import GroupVersionKind, Object


class Part(Protocol):
    """A subresource."""

    @property
    def kind(self) -> GroupVersionKind:
        """What is read and written there."""
        ...

    @property
    def verbs(self) -> Sequence[str]:
        """What can be done with it."""
        ...


class Served(Protocol):
    """A resource in one served version."""

    @property
    def gvk(self) -> GroupVersionKind:
        """Its kind."""
        ...

    @property
    def resource(self) -> str:
        """Its plural name."""
        ...

    @property
    def list_kind(self) -> str:
        """The kind of lists of it."""
        ...

    @property
    def namespaced(self) -> bool:
        """Whether it lives in namespaces."""
        ...

    @property
    def verbs(self) -> Sequence[str]:
        """What can be done with it."""
        ...

    @property
    def subresources(self) -> Mapping[str, Part]:
        """Its parts with paths of their own."""
        ...


class _Operation(NamedTuple):
    method: str
    action: str
    named: str
    """First word of its operationId."""
    query: tuple[str, ...]


_READ_QUERY: Final = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_WRITE_QUERY: Final = ("dryRun", "fieldManager", "fieldValidation")
_DELETE_QUERY: Final = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_OF_ALL: Final = {
    "list": _Operation("get", "list", "list", _READ_QUERY),
    "create": _Operation("post", "post", "create", _WRITE_QUERY),
    "deletecollection": _Operation("delete", "deletecollection", "delete", _READ_QUERY),
}
_OF_ONE: Final = {
    "get": _Operation("get", "get", "read", ()),
    "update": _Operation("put", "put", "replace", _WRITE_QUERY),
    "delete": _Operation("delete", "delete", "delete", _DELETE_QUERY),
    "patch": _Operation("patch", "patch", "patch", (*_WRITE_QUERY, "force")),
}
_OF_PART: Final = {"create": _OF_ALL["create"], **_OF_ONE}
_QUERY: Final = {
    "allowWatchBookmarks": ("boolean", "The watch may send bookmarks."),
    "continue": ("string", "Token of the next page of a list."),
    "dryRun": ("string", "All: check and answer as for a change, and keep nothing."),
    "fieldManager": ("string", "Name of who makes the change; at most 128 printable characters."),
    "fieldSelector": ("string", "Only objects with these values of fields."),
    "fieldValidation": ("string", "What unknown and duplicate fields lead to: Ignore, Warn (the default) or Strict."),
    "force": ("boolean", "Apply takes over fields that others manage."),
    "gracePeriodSeconds": ("integer", "Seconds until the object is deleted; 0 is at once."),
    "labelSelector": ("string", "Only objects with these labels."),
    "limit": ("integer", "Most objects of one page of a list."),
    "orphanDependents": ("boolean", "Deprecated: see propagationPolicy."),
    "propagationPolicy": ("string", "What happens to dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "Version at or after which to read."),
    "resourceVersionMatch": ("string", "How resourceVersion is meant: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "The watch starts with what is there."),
    "timeoutSeconds": ("integer", "Seconds after which a list or watch ends."),
    "watch": ("boolean", "Send changes as they happen, not a list."),
}
_PATCHES: Final = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_RESPONSES: Final = {"post": ("200", "201", "202"), "put": ("200", "201"), "delete": ("200", "202")}
_MEANINGS: Final = {"200": "OK", "201": "Created", "202": "Accepted"}

NameOf = Callable[[GroupVersionKind], str | None]
"""Finds the definition of a kind."""


def paths_of(resources: Iterable[Served], name_of: NameOf, dialect: Dialect, custom: set[str]) -> dict[str, Object]:
    """The path items of resources, by path. Resources of the groups in `custom` know no strategic merge."""
    found: dict[str, Object] = {}
    for resource in resources:
        writer = _Writer(resource, name_of, dialect, is_custom=resource.gvk.group in custom)
        found.update(writer.items())
    return found


class _Writer:
    """Writes the path items of one resource."""

    def __init__(self, resource: Served, name_of: NameOf, dialect: Dialect, *, is_custom: bool) -> None:
        self._resource = resource
        self._name_of = name_of
        self._dialect = dialect
        self._is_custom = is_custom
        group, version = resource.gvk.group, resource.gvk.version
        short = group.removesuffix(".k8s.io") or "core"
        first, *rest = short.replace("-", ".").split(".")
        self._tag = f"{first}{''.join(_title(word) for word in rest)}_{version}"
        self._title = "".join(_title(word) for word in (first, *rest)) + _title(version)

    def items(self) -> dict[str, Object]:
        resource = self._resource
        root = f"/apis/{resource.gvk.api_version}" if resource.gvk.group else f"/api/{resource.gvk.version}"
        space = "/namespaces/{namespace}" if resource.namespaced else ""
        base = f"{root}{space}/{resource.resource}"
        found = {
            base: self._item(_OF_ALL, resource.verbs, resource.gvk, "", ()),
            f"{base}/{{name}}": self._item(_OF_ONE, resource.verbs, resource.gvk, "", ("name",)),
        }
        for name, part in resource.subresources.items():
            found[f"{base}/{{name}}/{name}"] = self._item(_OF_PART, part.verbs, part.kind, _title(name), ("name",))
        if resource.namespaced and "list" in resource.verbs:
            found[f"{root}/{resource.resource}"] = self._everywhere()
        return {path: item for path, item in found.items() if len(item) > 1}

    def _item(
        self,
        operations: Mapping[str, _Operation],
        verbs: Sequence[str],
        kind: GroupVersionKind,
        suffix: str,
        in_path: tuple[str, ...],
    ) -> Object:
        space = ("namespace",) if self._resource.namespaced else ()
        item = {
            operation.method: self._operation(operation, kind, suffix)
            for verb, operation in operations.items()
            if verb in verbs
        }
        where = {"name": f"name of the {self._resource.gvk.kind}", "namespace": "namespace of the object"}
        parameters = [self._dialect.parameter(one, "path", "string", where[one]) for one in (*in_path, *space)]
        return {**item, "parameters": parameters}

    def _everywhere(self) -> Object:
        return {"get": self._operation(_OF_ALL["list"], self._resource.gvk, "ForAllNamespaces"), "parameters": []}

    def _operation(self, operation: _Operation, kind: GroupVersionKind, suffix: str) -> Object:
        written = self._written(operation, kind)
        told = self._resource.gvk if self._is_custom else kind
        required = operation.method != "delete"
        parameters = self._dialect.body_parameters(written, required=required) if written else []
        parameters += [self._dialect.parameter(name, "query", *_QUERY[name]) for name in operation.query]
        body = self._dialect.body(self._media_types(operation), written, required=required) if written else {}
        return {
            "tags": [self._tag],
            "description": f"{operation.action} {self._resource.gvk.kind}",
            "operationId": self._id(operation, suffix),
            "parameters": parameters,
            **body,
            "responses": self._responses(operation, kind),
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": told.group, "version": told.version, "kind": told.kind},
        }

    def _id(self, operation: _Operation, suffix: str) -> str:
        namespaced = self._resource.namespaced and suffix != "ForAllNamespaces"
        words = [
            operation.named,
            self._title,
            "Collection" if operation.action == "deletecollection" else "",
            "Namespaced" if namespaced else "",
            self._resource.gvk.kind,
            suffix,
        ]
        return "".join(words)

    def _written(self, operation: _Operation, kind: GroupVersionKind) -> Object | None:
        if operation.method == "patch":
            return self._dialect.reference(META + "Patch")
        if operation.action == "delete":
            return self._dialect.reference(META + "DeleteOptions")
        if operation.method not in {"post", "put"}:
            return None
        name = self._name_of(kind)
        return None if name is None else self._dialect.reference(name)

    def _media_types(self, operation: _Operation) -> tuple[str, ...]:
        if operation.method != "patch":
            return WRITTEN
        return _PATCHES if self._is_custom else (*_PATCHES, _STRATEGIC)

    def _responses(self, operation: _Operation, kind: GroupVersionKind) -> Object:
        name = META + "Status" if operation.method == "delete" else self._name_of(kind)
        if operation.action == "list":
            name = self._name_of(kind._replace(kind=self._resource.list_kind))
        schema = None if name is None else self._dialect.reference(name)
        codes = _RESPONSES.get(operation.method, ("200",))
        answers = {code: self._dialect.response(_MEANINGS[code], schema) for code in codes}
        return {**answers, "401": self._dialect.response("Unauthorized", None)}


def _title(word: str) -> str:
    return word[:1].upper() + word[1:]
