"""Foreign hands at any moment: before a look, between it and the write, between the write and its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metallb.kube.errors import ConflictError
from metallb.kube.objects import Key
from metallb.operator.reconciler import MetalLBOperator

OBJECTS = (
    ("DaemonSet", "speaker"),
    ("Deployment", "controller"),
    ("ConfigMap", "metallb-excludel2"),
    ("NetworkPolicy", "controller"),
)
HANDS = st.tuples(st.sampled_from(["edit", "relabel", "delete"]), st.sampled_from(OBJECTS))
STEPS = st.lists(st.one_of(HANDS, st.just(("deliver", None)), st.tuples(st.just("run"), st.lists(HANDS, max_size=4))))


class Building(Protocol):
    def __call__(self) -> tuple[Any, MetalLBOperator]: ...


@pytest.fixture
def building(request: pytest.FixtureRequest, metallb: Callable[..., Any]) -> Building:
    """A cluster and its operator, fresh for each example."""
    make = type(request.getfixturevalue("cluster"))
    build = request.getfixturevalue("restarted")

    def fresh() -> tuple[Any, MetalLBOperator]:
        operator: MetalLBOperator = build()
        cluster = make(stores=operator.stores)
        cluster.put(metallb())
        cluster.deliver()
        operator.client = operator.writer = cluster
        operator._applied.clear()
        return cluster, operator

    return fresh


def lay(cluster: Any, hand: str, what: tuple[str, str]) -> None:
    """Somebody does something to an object, if it is there."""
    if what not in cluster.objects:
        return
    if hand == "edit":
        cluster.edit(*what)
    elif hand == "delete":
        del cluster.objects[what]
    else:
        found = cluster.objects[what]
        cluster.changes += 1
        found["metadata"] = {**found["metadata"], "labels": {"app": "theirs"}}
        found["version"] = cluster.changes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(steps=STEPS)
def test_all_is_as_it_was_after_one_look_at_what_is_there_and_then_nothing_is_written(
    building: Building, steps: list[tuple[str, Any]]
) -> None:
    asyncio.run(story(*building(), steps))


async def story(cluster: Any, operator: MetalLBOperator, steps: list[tuple[str, Any]]) -> None:
    async def look() -> None:
        with contextlib.suppress(ConflictError):  # about the status: the queue tries again
            await operator._reconcile(Key("metallb-system", "metallb"))

    await look()
    wanted = {key: (each["applied"], each["metadata"]) for key, each in cluster.objects.items()}
    for kind, what in steps:
        if kind == "deliver":
            cluster.deliver()
        elif kind == "run":
            cluster.meanwhile = [lambda hand=hand: lay(cluster, *hand) for hand in what]
            await look()
            cluster.meanwhile = []
        else:
            lay(cluster, kind, what)
    cluster.deliver()
    await look()
    assert {key: (each["applied"], each["metadata"]) for key, each in cluster.objects.items()} == wanted
    cluster.deliver()
    await look()
    cluster.deliver()
    cluster.taken()
    await look()
    assert cluster.taken() == []
