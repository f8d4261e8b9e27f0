"""Everything a webhook has to know, kept up to date, so that one change is judged without looking at all the rest.

    index = Index("frr", namespace)
    index.put(pool); index.put_node(node); ...      # as the caches show them, in any order
    verdict = index.judge(change)

The verdict is that of `judging.judge`. It costs less than a millisecond of CPU with thousands of objects; after a node
came, went or was labelled, the next one costs some tens of milliseconds more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from metallb.api.core import Node, Secret, Service
from metallb.api.net import ServiceKey
from metallb.config.aliases import ParsedCommunity
from metallb.config.backends import Backend
from metallb.config.change import Change, Verdict
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.judging import NAMESPACE, Errors, decide
from metallb.config.parsing import Parsed, youngest
from metallb.config.selectors import Labels
from metallb.config.surroundings import NodeFacts, ServiceFacts
from metallb.config.tables import Tables, aliases_of
from metallb.config.together import Resource, Together, parse


class Index:
    """The present state, and verdicts on changes of it. One thread at a time."""

    def __init__(
        self,
        backend: Backend = "native",
        namespace: str = NAMESPACE,
        *,
        lb_class: str = "",
        reads_secrets: bool = False,
    ) -> None:
        """Starts empty.

        Args:
            backend: what speaks BGP.
            namespace: the one that MetalLB runs in; objects of others are left out.
            lb_class: of the Services that MetalLB serves.
            reads_secrets: whether Secrets are put in; otherwise nothing is said about them.
        """
        self.namespace = namespace
        self._backend: Backend = backend
        self._lb_class = lb_class
        self._tables = Tables()
        self._tables.secrets = {} if reads_secrets else None
        self._parsed: dict[ObjectName, Parsed] = {}
        self._together: Together | None = None

    def judge(self, change: Change) -> Verdict:
        """What is answered to a change of what is here; nothing here changes."""
        return decide(change, self._tables, self._search, self.namespace)

    def put(self, resource: Resource) -> None:
        """An object that configures MetalLB is there, or has changed."""
        kind, name = type(resource).__name__, resource.metadata.name
        if resource.metadata.namespace != self.namespace:
            return
        item = parse(resource, {}, self._backend)
        self._exchange(self._parsed.get(item.object), item)
        self._parsed[item.object] = item
        self._tables.replace(kind, name, resource)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """An object that configures MetalLB is gone."""
        item = self._parsed.pop(ObjectName(kind, namespace, name), None)
        if item is not None:
            self._exchange(item, None)
            self._tables.replace(kind, name, None)

    def put_namespace(self, name: str, labels: Labels) -> None:
        """A namespace is there, or has other labels."""
        self._tables.namespaces.put(name, labels)

    def remove_namespace(self, name: str) -> None:
        """A namespace is gone."""
        self._tables.namespaces.remove(name)

    def put_node(self, node: Node) -> None:
        """A node is there, or has changed."""
        if self._tables.put_node(node.name, node.metadata.labels, NodeFacts.of(node)):
            self._together = None

    def remove_node(self, name: str) -> None:
        """A node is gone."""
        self._tables.remove_node(name)
        self._together = None

    def put_service(self, service: Service) -> None:
        """A Service is there, or has changed."""
        self._tables.put_service(service.key, ServiceFacts.of(service, self._lb_class))

    def remove_service(self, key: ServiceKey) -> None:
        """A Service is gone."""
        self._tables.remove_service(key)

    def put_secret(self, secret: Secret) -> None:
        """A Secret is there, or has changed."""
        if self._tables.secrets is not None and secret.metadata.namespace == self.namespace:
            self._tables.secrets[secret.metadata.name] = secret

    def remove_secret(self, namespace: str, name: str) -> None:
        """A Secret is gone."""
        if self._tables.secrets is not None and namespace == self.namespace:
            self._tables.secrets.pop(name, None)

    def _exchange(self, old: Parsed | None, new: Parsed | None) -> None:
        if self._together is None:
            return
        if old is not None:
            self._together.remove(old)
        if new is not None:
            self._together.put(new)

    def _all_together(self) -> Together:
        if self._together is None:
            self._together = Together(self._tables.nodes.labels, self._backend)
            for item in self._parsed.values():
                self._together.put(item)
        return self._together

    def _search(self, change: Change, resource: Resource | None) -> Errors:
        """What depends on the object that changes: its own errors, and those of who uses aliases that it gives up."""
        if resource is None:
            return ()
        together = self._all_together()
        present = self._parsed.get(change.object)
        item = replace(parse(resource, {}, self._backend), seniority=youngest(change.object))
        self._exchange(present, item)
        try:
            errors = [*item.errors, *together.check(item), *together.check_references(item, None)]
            if isinstance(item, ParsedCommunity):
                errors += self._users(together, aliases_of(change.before) - aliases_of(change.after))
        finally:
            self._exchange(item, present)
        return tuple(sorted(errors))

    def _users(self, together: Together, aliases: Iterable[str]) -> list[ConfigError]:
        names = {user for alias in aliases for user in self._tables.reach.using(alias)}
        return [error for name in names for error in together.check_references(self._parsed[name], None)]
