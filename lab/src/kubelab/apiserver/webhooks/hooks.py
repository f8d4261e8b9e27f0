"""Webhooks as the server uses them, read from the configurations that are stored (admissionregistration.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kubelab.apiserver.builtin.fields import entries, items
from kubelab.objects import GroupResource, Object

VALIDATING: Final = GroupResource("admissionregistration.k8s.io", "validatingwebhookconfigurations")
MUTATING: Final = GroupResource("admissionregistration.k8s.io", "mutatingwebhookconfigurations")
_TIMEOUT_S: Final = 10
_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """A webhook behind a Service of the cluster."""

    namespace: str
    name: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How a webhook is reached: by an address, or by a Service. `ca` is PEM in base64; without it, the system's."""

    url: str = ""
    service: ServiceReference | None = None
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a webhook wants to see; `*` is everything. Resources are pairs of resource and subresource."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str = "*"


@dataclass(frozen=True, slots=True)
class Condition:
    """A further condition in CEL (KEP-3716)."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration, with its defaults."""

    name: str
    mutating: bool
    client: ClientConfig
    rules: tuple[Rule, ...]
    equivalent: bool = True
    """Requests in another version of the same resource are meant, too (matchPolicy)."""
    namespace_selector: Object = field(default_factory=dict)
    object_selector: Object = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    ignores_failure: bool = False
    timeout_s: int = _TIMEOUT_S
    side_effects: str = "None"
    review_versions: tuple[str, ...] = ("v1",)
    reinvoked: bool = False
    """Of one that changes objects: it wants to see what others have changed after it."""

    @property
    def stands_dry_runs(self) -> bool:
        """Whether calling it in a dry run leaves nothing behind."""
        return self.side_effects in {"None", "NoneOnDryRun"}


def read(configurations: Iterable[Object], *, mutating: bool) -> tuple[Hook, ...]:
    """All webhooks, by name of their configuration, then in its order."""
    ordered = sorted(configurations, key=lambda one: str(one["metadata"]["name"]))
    return tuple(_hook(one, mutating) for each in ordered for one in items(each.get("webhooks")))


def _hook(hook: Object, mutating: bool) -> Hook:  # noqa: FBT001  # which of two kinds
    return Hook(
        name=hook["name"],
        mutating=mutating,
        client=client_config(entries(hook.get("clientConfig"))),
        rules=tuple(_rule(one) for one in items(hook.get("rules"))),
        equivalent=hook.get("matchPolicy", "Equivalent") == "Equivalent",
        namespace_selector=entries(hook.get("namespaceSelector")),
        object_selector=entries(hook.get("objectSelector")),
        conditions=tuple(Condition(one["name"], one["expression"]) for one in items(hook.get("matchConditions"))),
        ignores_failure=hook.get("failurePolicy") == "Ignore",
        timeout_s=hook.get("timeoutSeconds") or _TIMEOUT_S,
        side_effects=hook.get("sideEffects") or "",
        review_versions=tuple(items(hook.get("admissionReviewVersions"))),
        reinvoked=hook.get("reinvocationPolicy") == "IfNeeded",
    )


def client_config(config: Object) -> ClientConfig:
    """From the `clientConfig` of a webhook or of a definition's conversion."""
    service = config.get("service")
    reference = None
    if service:
        port = service.get("port") or _PORT
        reference = ServiceReference(service["namespace"], service["name"], port, service.get("path") or "")
    return ClientConfig(config.get("url") or "", reference, config.get("caBundle") or "")


def _rule(rule: Object) -> Rule:
    return Rule(
        frozenset(items(rule.get("operations"))),
        frozenset(items(rule.get("apiGroups"))),
        frozenset(items(rule.get("apiVersions"))),
        tuple(_resource(one) for one in items(rule.get("resources"))),
        rule.get("scope") or "*",
    )


def _resource(text: str) -> tuple[str, str]:
    resource, _, subresource = text.partition("/")
    return resource, subresource
