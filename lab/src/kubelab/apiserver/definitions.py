"""Keeps the registry in step with stored CustomResourceDefinitions: names accepted, objects served, objects removed.

What the real server does in controllers of its own happens here right after the answer to the request that caused it.
"""

from __future__ import annotations

from functools import partial

from kubelab.apiserver import crd
from kubelab.apiserver.builtin import fields
from kubelab.apiserver.crd import CRDS
from kubelab.apiserver.handlers import deleting
from kubelab.apiserver.patching import managed
from kubelab.apiserver.resources import ResourceInfo
from kubelab.apiserver.state import State, own_call
from kubelab.apiserver.storage import Event
from kubelab.objects import GroupResource, GroupVersionKind, Object

_API_VERSION = "apiextensions.k8s.io/v1"
_KIND = GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")


class Definitions:
    """Watches the storage for one server."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._terminating: dict[GroupResource, str] = {}
        self._served: dict[str, Object] = {}
        """The spec under which each definition is served."""

    def observe(self, resource: GroupResource, event: Event) -> None:
        """Note a change of a definition, or of the objects of one that is to go."""
        if resource == CRDS:
            name = event.key
            self._state.reactions.append(lambda: self._sync(name))
        elif resource in self._terminating and event.new is None:
            waiting = self._terminating[resource]
            self._state.reactions.append(lambda: self._sync(waiting))

    def review(self) -> None:
        """Serve the definitions that are stored already."""
        for definition in self._state.storage.list(CRDS):
            self._state.reactions.append(partial(self._sync, definition["metadata"]["name"]))

    def _sync(self, name: str) -> None:
        definition = self._state.storage.get(CRDS, "", name)
        if definition is None:
            self._withdraw(name)
        elif definition["metadata"].get("deletionTimestamp"):
            self._terminate(name, definition)
        else:
            self._serve(name, self._accepted(name, definition))

    def _accepted(self, name: str, definition: Object) -> Object:
        """The definition with its names judged; stored if that changes anything."""
        others = self._state.storage.list(CRDS)
        status = crd.accept(definition, others, self._state.now())
        if status == definition.get("status"):
            return definition
        return self._write(name, definition, {**definition, "status": status})

    def _write(self, name: str, old: Object, new: Object) -> Object:
        entries = managed.track_update(
            old,
            new,
            self._state.schema_of(_KIND),
            manager="kube-apiserver",
            api_version=_API_VERSION,
            subresource="status",
            now=self._state.now(),
        )
        return self._state.storage.write(CRDS, "", name, managed.with_entries(new, entries)).obj

    def _serve(self, name: str, definition: Object) -> None:
        if not crd.is_established(definition):
            self._withdraw(name)
            return
        spec = definition["spec"]
        if self._served.get(name) == spec:
            return
        registry = self._state.registry
        registry.remove(spec["group"], spec["names"]["plural"])
        for info in crd.infos(definition):
            registry.add(info)
        self._state.storage.begin(GroupResource(spec["group"], spec["names"]["plural"]))
        self._served[name] = spec

    def _withdraw(self, name: str) -> None:
        spec = self._served.pop(name, None)
        if spec is not None:
            self._state.registry.remove(spec["group"], spec["names"]["plural"])

    def _terminate(self, name: str, definition: Object) -> None:
        """Delete all objects; once there are none, let the definition go."""
        spec = definition["spec"]
        infos = [info for info in crd.infos(definition) if info.version == info.stored_version] or crd.infos(definition)
        resource = GroupResource(spec["group"], spec["names"]["plural"])
        if infos:
            self._delete_all(infos[0], resource)
        if self._state.storage.list(resource):
            self._terminating[resource] = name
            return
        self._terminating.pop(resource, None)
        self._withdraw(name)
        self._release(name, definition)

    def _delete_all(self, info: ResourceInfo, resource: GroupResource) -> None:
        table = self._state.storage.table(resource)
        for stored in list(table.objects.values()):
            metadata = stored.obj["metadata"]
            if not metadata.get("deletionTimestamp"):
                call = own_call(self._state, info, metadata.get("namespace", ""), metadata["name"])
                deleting.apply(call, stored, deleting.Options())

    def _release(self, name: str, definition: Object) -> None:
        finalizers = fields.items(definition["metadata"].get("finalizers"))
        left = [one for one in finalizers if one != deleting.CRD_FINALIZER]
        metadata = {key: value for key, value in definition["metadata"].items() if key != "finalizers"}
        if left and left != finalizers:
            self._state.storage.write(CRDS, "", name, {**definition, "metadata": {**metadata, "finalizers": left}})
        elif not left:
            self._state.storage.delete(CRDS, "", name, {**definition, "metadata": metadata})
