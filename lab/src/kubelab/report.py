"""What people and programs are told about labs: documents for JSON, lines for the terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubelab.faults import Fault
from kubelab.objects import Object
from kubelab.processes import Process, ProcessTable
from kubelab.state import Layout, ProcessRecord, Record


def lab_document(files: Layout, record: Record | None, table: ProcessTable, *, alive: bool) -> Object:
    """All that `status` says of a lab. A lab without record died, or is, before it could write one."""
    document: Object = {
        "name": files.name,
        "phase": phase(record, alive=alive),
        "kubeconfig": str(files.kubeconfig),
        "logs": str(files.logs),
    }
    if record is not None:
        document |= {
            "server": record.server,
            "startedAt": record.started_at,
            "init": record.pid,
            "machines": record.addresses,
            "processes": [process_document(name, each, table, alive=alive) for name, each in record.processes.items()],
        }
    return document


def phase(record: Record | None, *, alive: bool) -> str:
    """`starting`, `running`, `stopping` or `dead`."""
    if not alive:
        return "dead"
    return "starting" if record is None else record.phase


def process_document(name: str, record: ProcessRecord, table: ProcessTable, *, alive: bool) -> Object:
    """One of the lab's own processes: its id on the host while it runs, and its state."""
    process = table.find(record.pid) if alive and record.code is None else None
    return {"name": name, "pid": process.pid if process else None, "state": process_state(record, process)}


def process_state(record: ProcessRecord, process: Process | None) -> str:
    """`ready`, `starting`, `paused`, or how it ended."""
    if record.code is not None:
        return f"killed by signal {-record.code}" if record.code < 0 else f"ended with exit code {record.code}"
    if process is None:
        return "gone"
    if process.state == "T":
        return "paused"
    return "ready" if record.ready else "starting"


def lab_lines(document: Object) -> Iterable[str]:
    """A lab's status for the terminal."""
    yield f"lab {document['name']}: {document['phase']}"
    if "server" not in document:
        return
    yield f"  API         {document['server']}"
    yield f"  KUBECONFIG  {document['kubeconfig']}"
    yield f"  logs        {document['logs']}"
    machines: Mapping[str, Sequence[str]] = document["machines"]
    yield from (
        f"  {line}" for line in table(["MACHINE", "ADDRESSES"], [[name, " ".join(at)] for name, at in machines.items()])
    )
    rows = [[each["name"], str(each["pid"] or "-"), each["state"]] for each in document["processes"]]
    yield from (f"  {line}" for line in table(["PROCESS", "PID", "STATE"], rows))
    if "cluster" in document:
        yield from (f"  {line}" for line in cluster_lines(document["cluster"]))


def node(obj: Object) -> Object:
    """A node: whether it is ready, as its condition says."""
    ready = next(
        (each["status"] for each in obj["status"].get("conditions") or [] if each["type"] == "Ready"), "Unknown"
    )
    schedulable = not obj["spec"].get("unschedulable", False)
    return {"name": obj["metadata"]["name"], "ready": ready, "schedulable": schedulable}


def pod(obj: Object) -> Object:
    """A pod: where it is, its state in a word, how many of its containers are ready and were started again."""
    statuses = obj["status"].get("containerStatuses") or []
    waiting = (each["state"].get("waiting", {}).get("reason") for each in statuses if "state" in each)
    state = next((reason for reason in waiting if reason), obj["status"].get("phase", "Unknown"))
    if "deletionTimestamp" in obj["metadata"]:
        state = "Terminating"
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "node": obj["spec"].get("nodeName", ""),
        "state": state,
        "ready": sum(each["ready"] for each in statuses),
        "containers": len(obj["spec"]["containers"]),
        "restarts": sum(each["restartCount"] for each in statuses),
    }


def balanced(obj: Object) -> Object:
    """A service of type LoadBalancer: its addresses; nobody answers for them yet."""
    ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "addresses": [{"address": each["ip"], "answeredBy": []} for each in ingress if "ip" in each],
    }


def cluster_lines(document: Object) -> Iterable[str]:
    """What `overview.look` found, for the terminal."""
    if "error" in document:
        yield f"error: {document['error']}"
    nodes = [
        [each["name"], each["ready"] + ("" if each["schedulable"] else ", cordoned")] for each in document["nodes"]
    ]
    services = [row for each in document["services"] for row in _service_rows(each)]
    faults = [[each["kind"], each["target"], each["detail"]] for each in document.get("faults") or []]
    for head, rows in (
        (["NODE", "READY"], nodes),
        (["NAMESPACE", "POD", "NODE", "STATE", "READY", "RESTARTS"], [_pod_row(each) for each in document["pods"]]),
        (["NAMESPACE", "SERVICE", "ADDRESS", "ANSWERED BY"], services),
        (["FAULT", "TARGET", "DETAIL"], faults),
    ):
        if rows:
            yield from table(head, rows)


def _pod_row(each: Object) -> list[str]:
    ready = f"{each['ready']}/{each['containers']}"
    return [each["namespace"], each["name"], each["node"] or "-", each["state"], ready, str(each["restarts"])]


def _service_rows(each: Object) -> list[list[str]]:
    start = [each["namespace"], each["name"]]
    rows = [[*start, entry["address"], ", ".join(entry["answeredBy"]) or "nobody"] for entry in each["addresses"]]
    return rows or [[*start, "<pending>", ""]]


def fault_document(fault: Fault) -> Object:
    """A fault in force."""
    return {"kind": fault.kind, "target": fault.target, "detail": fault.detail}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, three blanks apart."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
