"""Writes a pod's status when it differs from what was written, or from what the API server shows."""

from __future__ import annotations

import logging

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource
from kubelab.kubelet.lifecycle import PodMachine
from kubelab.kubelet.state import Now
from kubelab.kubelet.status import pod_status
from kubelab.objects import Object

PODS = Resource("", "v1", "pods", True)

_OVER = {"Succeeded", "Failed"}

_log = logging.getLogger(__name__)


class StatusWriter:
    """For one pod; the node agent is the only writer of these fields, except when it was thought lost."""

    def __init__(self, client: ApiClient, host_ips: tuple[str, ...]) -> None:
        self._client, self._host_ips = client, host_ips
        self._sent: Object = {}

    async def write(self, machine: PodMachine, now: Now) -> bool:
        """Whether the status is written, or can never be; False: try again."""
        pod = machine.pod
        shown = pod.raw.get("status") or {}
        status = pod_status(machine, self._host_ips, self._sent or shown, now)
        if shown.get("phase") in _OVER and status["phase"] not in _OVER:
            return True  # it ended before this agent knew it: that stays true
        if status == self._sent and not _overruled(status, shown):
            return True
        patch = {"metadata": {"uid": pod.uid}, "status": status}
        try:
            await self._client.patch(
                PODS, pod.name, patch, pod.namespace, kind=PatchKind.STRATEGIC, subresource="status"
            )
        except ApiFailure as failure:
            if failure.unreachable or failure.code >= 500:  # noqa: PLR2004  # the server's fault
                return False
            if not (failure.not_found or failure.conflict):
                _log.warning("status of pod %s: %s", pod.label, failure)
        self._sent = status
        return True


def _overruled(status: Object, shown: Object) -> bool:
    """Whether somebody else changed a condition: node health marks the pods of a lost node as not ready."""
    theirs = {item.get("type"): item.get("status") for item in shown.get("conditions") or []}
    return any(theirs.get(item["type"], item["status"]) != item["status"] for item in status["conditions"])
