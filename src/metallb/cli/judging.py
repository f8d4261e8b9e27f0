"""Judges a set of manifests: each object alone, then all together, alone or on top of what a cluster has. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final, cast

from msgspec import structs

from metallb.api.core import Namespace, Node, Secret, Service
from metallb.api.rules import CONNECT_TIME_RANGE, CONNECT_TIME_WHOLE, NO_AGGREGATION_OF_SELECTED
from metallb.api.v1beta1 import MetalLB
from metallb.cli.documents import Document
from metallb.cli.findings import Finding, Severity, finding, in_order, of_error
from metallb.cli.objects import Reader, Written
from metallb.config.backends import Backend
from metallb.config.build import Snapshot, build
from metallb.config.change import FIELDS, Change
from metallb.config.errors import ObjectName
from metallb.config.judging import refuses
from metallb.config.selectors import Labels
from metallb.config.surroundings import NodeFacts, ServiceFacts, Surroundings
from metallb.config.tables import Tables
from metallb.config.together import Resource
from metallb.config.warnings import foresee
from metallb.operator.backend import refusal
from metallb.operator.conditions import NAME, wrong_name
from metallb.operator.validation import errors
from metallb.operator.warnings import ineffective

Objects = dict[ObjectName, Any]
"""By name; each is of the model of its kind."""

_TWINS: Final = frozenset(
    f"is refused: {rule.message}" for rule in (NO_AGGREGATION_OF_SELECTED, CONNECT_TIME_RANGE, CONNECT_TIME_WHOLE)
)


@dataclass(frozen=True, slots=True)
class Present:
    """What a cluster has: the objects of MetalLB's namespace, Namespaces, Nodes and Services.

    Attributes:
        objects: by name.
        secrets_known: whether Secrets are among them.
        notes: what could not be read, in sentences.
    """

    objects: Objects = field(default_factory=dict)
    secrets_known: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What came out.

    Attributes:
        findings: as the files are read.
        judged: how many objects were judged.
        surrounding: how many were taken into account.
        ignored: how many were left out.
    """

    findings: tuple[Finding, ...]
    judged: int
    surrounding: int
    ignored: int


def judge(documents: Sequence[Document], *, namespace: str, backend: Backend, present: Present | None = None) -> Report:
    """All that is to say about a set.

    Args:
        documents: the manifests.
        namespace: MetalLB's; also that of objects that name none.
        backend: what speaks BGP.
        present: the cluster that they would be applied to; None: the set stands alone.
    """
    cluster = present or Present()
    reader = Reader(namespace, cluster.objects)
    written = [reader.read(document) for document in documents]
    first, findings = _each_once(written)
    findings += [each for one in written for each in one.findings]
    findings += [finding("warning", note, document=None) for note in cluster.notes]
    judged = _Judged(first, cluster, namespace, backend)
    findings = _without_twins(findings, list(judged.errors()))
    findings += chain.from_iterable(_installation(each) for each in first.values())
    at_fault = {(each.file, each.document, each.object) for each in findings if each.severity == "error"}
    findings += [each for each in judged.warnings() if (each.file, each.document, each.object) not in at_fault]
    roles = Counter(each.role for each in written)
    return Report(tuple(in_order(findings)), roles["judged"], roles["surrounding"], roles["ignored"])


def _installation(written: Written) -> Iterator[Finding]:
    """What the operator would say of a MetalLB resource."""
    if written.name is None or not isinstance(written.resource, MetalLB):
        return
    if written.name.name != NAME:
        rule = wrong_name(written.name.name).message
        yield finding("error", rule, document=written.document, object_name=written.name, field="metadata.name")
    for error in errors(written.resource):
        yield of_error(error, written.document, "error")
    told = refusal(written.resource.spec)
    if told is not None:
        rule = told.message.removeprefix("spec.bgpBackend: ")
        yield finding("warning", rule, document=written.document, object_name=written.name, field="spec.bgpBackend")
    for warning in ineffective(written.resource.spec):
        yield finding("warning", warning, document=written.document, object_name=written.name)


def _without_twins(alone: Iterable[Finding], together: list[Finding]) -> list[Finding]:
    """All findings, but for rules of the schema that the configuration has too, and says more about."""
    said = [(each.object, each.field) for each in together]
    kept = [
        each
        for each in alone
        if each.rule not in _TWINS
        or not any(name == each.object and f"{field}.".startswith(f"{each.field}.") for name, field in said)
    ]
    return kept + together


def _each_once(written: Iterable[Written]) -> tuple[dict[ObjectName, Written], list[Finding]]:
    """The first of each name, and an error for each other one: which of them would count is chance."""
    first: dict[ObjectName, Written] = {}
    findings = []
    for each in written:
        if each.name is None:
            continue
        before = first.setdefault(each.name, each)
        if before is not each:
            line = before.document.line_of()
            place = f"{before.document.file}:{line}" if line else before.document.file
            rule = f"is there twice, first in {place}"
            findings.append(
                finding(
                    "error",
                    rule,
                    document=each.document,
                    object_name=each.name,
                    field="metadata.name",
                    hint="remove one",
                )
            )
    return first, findings


class _Judged:
    """The set as it would be in the end."""

    def __init__(
        self, written: Mapping[ObjectName, Written], present: Present, namespace: str, backend: Backend
    ) -> None:
        self._written = written
        self._present = present
        self._namespace = namespace
        self._backend = backend
        changed = {name: each.resource for name, each in written.items() if each.resource is not None}
        self._changed = {name: _youngest(each) for name, each in changed.items()} if present.objects else changed
        self._after = present.objects | self._changed
        self._snapshot = self._snapshot_of(self._after)

    def errors(self) -> Iterator[Finding]:
        """Errors of the whole; those that the cluster has anyway, about no object of the files, only warn."""
        known = set(build(self._snapshot_of(self._present.objects)).errors) if self._present.objects else set()
        for error in build(self._snapshot).errors:
            culprit = self._written.get(error.object)
            concerned = culprit is not None or any(each in self._written for each in error.others)
            if concerned or error not in known:
                severity: Severity = "error" if refuses(error) else "transient"
                yield of_error(error, culprit.document if culprit else None, severity)
            else:
                noted = replace(error, rule=f"{error.rule} (in the cluster already, whatever the files say)")
                yield of_error(noted, None, "warning")

    def warnings(self) -> Iterator[Finding]:
        """What the objects of the files would bring about."""
        tables = Tables(self._snapshot, self._surroundings())
        for name, resource in self._changed.items():
            if self._is_ours(name):
                before = cast("Resource | None", self._present.objects.get(name))
                change = Change(name.kind, name.namespace, name.name, before, cast("Resource", resource))
                for sentence in foresee(tables, change):
                    text = sentence.removeprefix(f"{name}: ")
                    yield finding("warning", text, document=self._written[name].document, object_name=name)

    def _is_ours(self, name: ObjectName) -> bool:
        return name.kind in FIELDS and name.namespace == self._namespace

    def _snapshot_of(self, objects: Objects) -> Snapshot:
        kinds: dict[str, list[Any]] = {kind: [] for kind in FIELDS}
        for name, each in objects.items():
            if self._is_ours(name):
                kinds[name.kind].append(each)
        return Snapshot(
            **{FIELDS[kind]: found for kind, found in kinds.items()},
            namespaces=_labels(objects, Namespace),
            nodes=_labels(objects, Node) or None,
            secrets=self._secrets(objects),
            backend=self._backend,
        )

    def _secrets(self, objects: Objects) -> dict[str, Secret] | None:
        """None where nobody told which there are: files seldom have them."""
        secrets = ((name, each) for name, each in objects.items() if isinstance(each, Secret))
        found = {name.name: each for name, each in secrets if name.namespace == self._namespace}
        return found if found or self._present.secrets_known else None

    def _surroundings(self) -> Surroundings:
        """Without Secrets: references to them are among the errors already."""
        every = self._after.values()
        return Surroundings(
            nodes={each.name: NodeFacts.of(each) for each in every if isinstance(each, Node)},
            services={each.key: ServiceFacts.of(each) for each in every if isinstance(each, Service)},
        )


def _labels(objects: Objects, kind: type[Namespace | Node]) -> dict[str, Labels]:
    return {each.metadata.name: each.metadata.labels for each in objects.values() if isinstance(each, kind)}


def _youngest(resource: Any) -> Any:
    """As if it came after all that is there: of two objects in conflict it is the one that is told."""
    return structs.replace(resource, metadata=structs.replace(resource.metadata, creation_timestamp=None))
