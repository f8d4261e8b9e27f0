"""A whole lab: its own API server, controllers and node agents, and pods that serve a page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from kubelab.cluster import Cluster, parse
from kubelab.lab import Lab
from kubelab.pytest_plugin import Ledger

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

IMAGE = "example.org/web:1"
PORT = 8080

IMAGES = {
    IMAGE: {
        "": ["{python}", "-m", "http.server", "--bind", "::", str(PORT)],
        "busy": ["{python}", "-S", "-c", "while True: pass"],
    }
}

PAGES = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: {IMAGE}
          readinessProbe: {{httpGet: {{path: /, port: {PORT}}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {PORT}, nodePort: 30080}}]
"""


@pytest.fixture(scope="session")
def web_cluster() -> Cluster:
    """The default cluster, and an image that serves its working folder on both families."""
    return parse({"images": IMAGES}, "test")


@pytest.fixture(scope="session")
def ipv6_cluster() -> Cluster:
    """The same without IPv4."""
    return parse({"images": IMAGES, "networks": [{"name": "lan", "ipv6": "2001:db8:100::/64"}]}, "test")


@pytest.fixture(scope="session")
def pages() -> str:
    """A deployment of two pods that serve a page, and its service."""
    return PAGES


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(lab_ledger: Ledger, web_cluster: Cluster) -> AsyncIterator[Lab]:
    """A lab in which two pods serve a page."""
    started = await lab_ledger.start(web_cluster, None)
    await started.kubectl("apply", "-f", "-", stdin=PAGES)
    await started.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    yield started
    await started.down()


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something holds that the lab is asked for again and again."""

    async def wait(holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(60):
            while not await holds():  # noqa: ASYNC110  # it is asked again and again on purpose
                await asyncio.sleep(0.1)

    return wait
