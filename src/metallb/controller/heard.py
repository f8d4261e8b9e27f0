"""What speakers say of Services in their ServiceL2Status, where hosts outside the cluster use addresses of theirs.

The controller can do without: where it may not read them (MetalLB's own rules don't allow it) no Service gets a
condition of that kind, and the speakers' events say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.json import Decoder

from metallb.advertisement.conflicts import LABEL, Report
from metallb.api.net import ServiceKey
from metallb.api.v1beta1_states import NODE_LABEL, ServiceL2Status, service_of
from metallb.kube.client import KubeClient
from metallb.kube.informer import Informer
from metallb.kube.objects import Key
from metallb.kube.resources import SERVICE_L2_STATUSES

_BY_SERVICE: Final = "service"


class Heard:
    """Follows what speakers say: there is one object for each Service that is announced, these are the few that matter.

    Attributes:
        informer: to be run by the owner.
    """

    def __init__(self, client: KubeClient, namespace: str) -> None:
        """Does nothing until the informer runs."""
        self.informer = Informer(
            client,
            SERVICE_L2_STATUSES,
            decoder=Decoder(ServiceL2Status),
            namespace=namespace,
            label_selector=LABEL,
            indexers={_BY_SERVICE: lambda each: [str(ServiceKey(*key)) for key in _service_of(each)]},
        )

    def reports(self, service: ServiceKey) -> list[Report]:
        """All that is said of a Service now."""
        found = self.informer.store.indexed(_BY_SERVICE, str(service))
        return [
            Report(each.metadata.labels.get(NODE_LABEL, ""), bool(each.status.node), each.status.conflicts)
            for each in found
        ]

    def subscribe(self, callback: Callable[[Key], None]) -> None:
        """Calls back with each Service of which something else is said now."""
        self.informer.subscribe_by(_service_of, callback)


def _service_of(found: ServiceL2Status) -> Iterable[Key]:
    service = service_of(found)
    return [] if service is None else [Key(*service)]
