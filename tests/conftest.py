"""What all tests of the product share: short ways to write the objects that they are about."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from tests import rights

from kubelab.pytest_plugin import requests as lab_requests
from metallb.api import v1beta1
from metallb.api.core import (
    LabelSelector,
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from metallb.api.core import Service as ServiceModel

# A busy machine is no failure: how fast something is stands in bench/.
# A pipeline judges a change, not chance: it draws what it drew before. Everybody else draws anew.
hypothesis.settings.register_profile("metallb", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("metallb")

ServiceFactory = Callable[..., ServiceModel]
PoolFactory = Callable[..., v1beta1.IPAddressPool]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write golden files anew instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the golden file of that name, or writes it (`--update`)."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption("--update"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{name} is not as before: look at the change, then run pytest --update"

    return check


CLONE_NEWNET = 0x40000000


@pytest.fixture(scope="session")
def in_namespace() -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    """Runs a coroutine function in a network namespace of its own, which ends with it.

    A thread has a namespace for itself; the programs that it starts have the same.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def enter() -> None:
            if libc.unshare(CLONE_NEWNET) != 0:
                pytest.skip(f"no network namespaces: {os.strerror(ctypes.get_errno())}")
            for family in ("all", "default"):
                # A link-local address is usable at once.
                Path(f"/proc/sys/net/ipv6/conf/{family}/accept_dad").write_text("0")
            asyncio.run(body())

        with ThreadPoolExecutor(1) as threads:
            threads.submit(enter).result()

    return run


VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture
def recorded() -> Callable[[str], Any]:
    """A file under `tests/vectors`: the lines of a `.jsonl`, the value of a `.json`."""

    def read(name: str) -> Any:
        text = (VECTORS / name).read_text()
        return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)

    return read


@pytest.fixture
def make_service() -> ServiceFactory:
    return build_service


@pytest.fixture
def make_pool() -> PoolFactory:
    return build_pool


@pytest.fixture(scope="session")
def service_factory() -> ServiceFactory:
    """For properties, which fixtures of one test can't serve."""
    return build_service


@pytest.fixture(scope="session")
def pool_factory() -> PoolFactory:
    return build_pool


@pytest.fixture
def make_l2() -> Callable[..., v1beta1.L2Advertisement]:
    return build_l2


def build_service(
    name: str = "web",
    *,
    namespace: str = "default",
    kind: str = "LoadBalancer",
    cluster_ips: tuple[str, ...] = ("198.18.128.5",),
    policy: str = "SingleStack",
    ips: tuple[str, ...] = (),
    hostname: str = "",
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    ports: tuple[tuple[str, int], ...] = (("TCP", 80),),
    selector: Mapping[str, str] | None = None,
    traffic: str = "Cluster",
    requested: str = "",
    lb_class: str | None = None,
    created: str = "",
    version: str = "1",
) -> ServiceModel:
    """A Service as the API shows it."""
    entries = tuple(LoadBalancerIngress(ip=ip, ip_mode="VIP") for ip in ips)
    if hostname:
        entries = (LoadBalancerIngress(hostname=hostname), *entries)
    return ServiceModel(
        metadata=ObjectMeta(
            name=name,
            namespace=namespace,
            annotations=dict(annotations or {}),
            labels=dict(labels or {}),
            creation_timestamp=created,
            resource_version=version,
        ),
        spec=ServiceSpec(
            type=kind,
            cluster_ips=cluster_ips,
            cluster_ip=cluster_ips[0] if cluster_ips else "",
            ip_family_policy=policy,
            ports=tuple(ServicePort(protocol=protocol, port=port) for protocol, port in ports),
            selector=dict(selector or {"app": "web"}),
            external_traffic_policy=traffic,
            load_balancer_ip=requested,
            load_balancer_class=lb_class,
        ),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=entries)),
    )


def build_pool(
    name: str = "first",
    *addresses: str,
    labels: Mapping[str, str] | None = None,
    auto_assign: bool = True,
    avoid_buggy_ips: bool = False,
    priority: int | None = None,
    namespaces: tuple[str, ...] = (),
    namespace_selectors: tuple[Mapping[str, str], ...] = (),
    service_selectors: tuple[Mapping[str, str], ...] = (),
) -> v1beta1.IPAddressPool:
    """An IPAddressPool as a user writes it."""
    allocation = None
    if priority is not None or namespaces or namespace_selectors or service_selectors:
        allocation = v1beta1.ServiceAllocation(
            priority=priority or 0,
            namespaces=namespaces,
            namespace_selectors=tuple(LabelSelector(match_labels=dict(each)) for each in namespace_selectors),
            service_selectors=tuple(LabelSelector(match_labels=dict(each)) for each in service_selectors),
        )
    return v1beta1.IPAddressPool(
        metadata=ObjectMeta(name=name, namespace="metallb-system", labels=dict(labels or {})),
        spec=v1beta1.IPAddressPoolSpec(
            addresses=addresses,
            auto_assign=auto_assign,
            avoid_buggy_ips=avoid_buggy_ips,
            service_allocation=allocation,
        ),
    )


def build_l2(name: str = "all", *, labels: Mapping[str, str] | None = None, **spec: Any) -> v1beta1.L2Advertisement:
    """An L2Advertisement as a user writes it; `spec` in snake_case."""
    return v1beta1.L2Advertisement(
        metadata=ObjectMeta(name=name, namespace="metallb-system", labels=dict(labels or {})),
        spec=v1beta1.L2AdvertisementSpec(**spec),
    )


_JUDGED: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Holds the roles against what the processes asked for in all labs of the run, once they are down.

    What a process had no right to is an error in any run. Whether each right is used only a whole run can tell.
    """
    config = session.config
    requests = lab_requests(config)
    if hasattr(config, "workerinput") or not requests:
        return
    wrong = rights.missing(requests)
    if _is_whole(session):
        wrong += rights.unused(requests)
    else:
        config.stash[_JUDGED] = ["whether every right is used was not judged: not all tests have run and passed"]
    if wrong:
        config.stash[_JUDGED] = wrong
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_whole(session: pytest.Session) -> bool:
    config = session.config
    chosen = any(getattr(config.option, name, None) for name in ("keyword", "markexpr", "deselect", "lf"))
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen
    return whole and session.exitstatus == pytest.ExitCode.OK and not session.shouldstop


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Says what was found out about rights."""
    lines = config.stash.get(_JUDGED, [])
    if lines:
        terminalreporter.section("rights of the processes, from the audit logs of all labs")
        for line in lines:
            terminalreporter.write_line(line)
