"""Carries out what decisions ask for, and lets the local copies know at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kubelab.apiclient import ApiClient, ApiFailure, Resource
from kubelab.controllers.decide.resources import PODS
from kubelab.controllers.decide.writes import Bind, Create, Delete, Patch, Record, Together, Update, Write
from kubelab.controllers.run.informers import Informers
from kubelab.controllers.run.recorder import Recorder
from kubelab.objects import Object

_IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class RefusedError(Exception):
    """A write that did not succeed, and why. What came before it in its decision is done, what came after is not."""

    write: Write
    failure: ApiFailure

    def __str__(self) -> str:
        """One line for a log."""
        return f"{type(self.write).__name__}: {self.failure}"


class Hands:
    """The writing side of one client. Many writes may be under way; their number is bounded."""

    def __init__(self, client: ApiClient, informers: Informers, recorder: Recorder) -> None:
        self.client = client
        self._informers = informers
        self._recorder = recorder
        self._free = asyncio.Semaphore(_IN_FLIGHT)

    async def carry_out(self, writes: Iterable[Write]) -> None:
        """All writes, in order.

        Raises:
            RefusedError: one did not succeed.
        """
        for write in writes:
            if isinstance(write, Together):
                await self._together(write)
            else:
                await self._one(write)

    def say(self, record: Record) -> None:
        """Report something, in its own time."""
        self._recorder.say(record)

    async def _together(self, write: Together) -> None:
        """All are tried, also if some fail; the first failure is told."""
        results = await asyncio.gather(*(self._one(each) for each in write.writes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _one(self, write: Write) -> None:
        if isinstance(write, Record):
            self._recorder.say(write)
            return
        async with self._free:
            try:
                made = await self._send(write)
            except ApiFailure as failure:
                if not _is_fine(write, failure):
                    raise RefusedError(write, failure) from failure
                return
        for record in getattr(write, "then", ()):
            self._recorder.say(_named(record, made))

    async def _send(self, write: Write) -> Object | None:
        """One write; the object it made, if it made one."""
        match write:
            case Create(resource, obj):
                made = await self.client.create(resource, obj)
                self._informers.assume(resource, made)
                return made
            case Update(resource, obj, subresource):
                self._informers.assume(resource, await self.client.update(resource, obj, subresource=subresource))
            case Patch(resource, namespace, name, patch, kind, subresource):
                answer = await self.client.patch(resource, name, patch, namespace, kind=kind, subresource=subresource)
                self._informers.assume(resource, answer)
            case Delete():
                await self._delete(write)
            case Bind(pod, node):
                await self._bind(pod, node)
            case _:
                raise TypeError(f"no single write: {write}")
        return None

    async def _delete(self, write: Delete) -> None:
        meta = write.obj["metadata"]
        answer = await self.client.delete(
            write.resource,
            meta["name"],
            meta.get("namespace", ""),
            uid=meta["uid"],
            resource_version=meta["resourceVersion"] if write.exact else "",
            propagation=write.propagation,
            grace_period_s=write.grace_period_s,
        )
        if _is_gone(answer, write.resource):
            self._informers.assume_deleted(write.resource, write.obj)
        else:
            self._informers.assume(write.resource, answer)

    async def _bind(self, pod: Object, node: str) -> None:
        meta = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "target": {"kind": "Node", "name": node},
        }
        await self.client.create_subresource(PODS, meta["name"], "binding", binding)


def _named(record: Record, made: Object | None) -> Record:
    """The event with the name that the API server chose."""
    return (
        record if made is None else replace(record, message=record.message.replace("{name}", made["metadata"]["name"]))
    )


def _is_fine(write: Write, failure: ApiFailure) -> bool:
    """Whether a refusal means that what was wanted is so already."""
    if isinstance(write, Delete):
        return failure.not_found
    return isinstance(write, Create) and write.or_exists and failure.already_exists


def _is_gone(answer: Object, resource: Resource) -> bool:
    """Whether a deletion's answer says that the object is no more: a pod may still have to end, others to wait."""
    if answer.get("kind") == "Status":
        return True
    meta = answer.get("metadata") or {}
    waits = bool(meta.get("finalizers")) or (resource == PODS and bool(meta.get("deletionGracePeriodSeconds")))
    return not waits
