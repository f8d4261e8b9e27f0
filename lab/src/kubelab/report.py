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


def fault_document(fault: Fault) -> Object:
    """A fault in force."""
    return {"kind": fault.kind, "target": fault.target, "detail": fault.detail}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, three blanks apart."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
