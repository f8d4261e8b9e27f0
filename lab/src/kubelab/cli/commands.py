"""The command `lab`: start, look at, use and end labs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from kubelab import launch, overview, report, state
from kubelab.cli.conformance import conformance
from kubelab.cli.conventions import EXIT_HELP, emit, examples, explained, name_option, output_option
from kubelab.cli.faults import fault
from kubelab.cluster import Cluster, parse_text
from kubelab.lab import Lab
from kubelab.launch import Options
from kubelab.objects import Json
from kubelab.places import PlaceError
from kubelab.processes import ProcessTable
from kubelab.state import LabNotFoundError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_HELP
    + examples(
        "lab up",
        "export KUBECONFIG=/run/kubelab/lab/kubeconfig",
        "kubectl get nodes",
        "lab run client -- ping -c 1 198.51.100.11",
        "lab fault cut worker-1",
        "lab down",
    ),
)
def lab() -> None:
    """A Kubernetes cluster in a box: nodes are network namespaces, pods are processes, packets are real."""


@lab.command(
    epilog=examples(
        "lab up",
        "lab up -f cluster.yaml --name second",
        "lab up --with-olm example/catalog:v1=packaging/catalog --with-olm example/bundle:v1=packaging/bundle",
    )
)
@click.option(
    "--file",
    "-f",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="The cluster file; - reads it from standard input.",
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The API server's port on 127.0.0.1; a free one by default.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds that each part may take to get ready.",
)
@click.option(
    "--with-olm",
    metavar="IMAGE=FOLDER",
    multiple=True,
    help="A test double of the Operator Lifecycle Manager runs, too; to it, this folder is that image of a catalog or "
    "bundle. May be given several times.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    metavar="FOLDER",
    multiple=True,
    help="A folder in the OCI image layout: pods of the images in it run from their own root file systems. May be "
    "given several times.",
)
@name_option
@output_option
@explained
def up(
    file: str | None,
    api_port: int,
    timeout: float,
    with_olm: Sequence[str],
    images: Sequence[str],
    name: str,
    output: str,
) -> None:
    """Start a lab and wait until it is ready.

    By default it has one control-plane node, three workers and a client.

    The lab goes on when the command has ended.
    """

    def told(message: str) -> None:
        click.echo(f"  {message}", err=True)

    options = Options(api_port=api_port, ready_timeout_s=timeout, told=told)
    cluster = _with_olm(_cluster(file), with_olm)
    cluster = dataclasses.replace(cluster, layouts=(*cluster.layouts, *images))
    started = asyncio.run(Lab.up(cluster, name=name, options=options))
    document = _document(name)
    emit(output, document, [f"lab {name} is ready", f"  export KUBECONFIG={started.kubeconfig}"])


@lab.command(
    epilog=examples(
        "lab status", "lab status --watch", "lab status --name second --output json", "lab status --cluster"
    )
)
@click.option("--name", envvar="KUBELAB_NAME", metavar="LAB", help="Which lab; all by default.")
@click.option("--cluster", is_flag=True, help="Also its nodes, pods, services, who answers for them, and faults.")
@click.option("--watch", "-w", is_flag=True, help="The same, shown anew again and again until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds, with --watch."
)
@output_option
@explained
def status(name: str | None, cluster: bool, watch: bool, interval: float, output: str) -> None:  # noqa: FBT001  # click passes flags by name
    """Show labs, machines and processes."""
    if not watch:
        documents = [asyncio.run(_status(each, cluster=cluster)) for each in ([name] if name else state.names())]
        lines = [line for document in documents for line in report.lab_lines(document)]
        emit(output, documents[0] if name else documents, lines or ["there is no lab; `lab up` starts one"])
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(name or state.DEFAULT_NAME, interval, output))


async def _watch(name: str, interval_s: float, output: str) -> None:
    while True:
        _show(output, await _status(name, cluster=True))
        await asyncio.sleep(interval_s)


async def _status(name: str, *, cluster: bool) -> Json:
    """What `status` says of a lab; of what goes on in it only where it runs.

    Raises:
        LabNotFoundError: there is none.
    """
    document = _document(name)
    if cluster and document["phase"] == "running":
        document["cluster"] = await overview.look(Lab.attach(name))
    return document


def _show(output: str, document: Json) -> None:
    """One picture: a line for programs; for people the terminal is cleared first."""
    if output == "json":
        click.echo(json.dumps(document))
        return
    if sys.stdout.isatty():
        click.clear()
    click.echo("\n".join(report.lab_lines(document)) + "\n")


@lab.command(epilog=examples("lab down", "lab down --all"))
@click.option("--all", "every", is_flag=True, help="All labs.")
@name_option
@output_option
@explained
def down(every: bool, name: str, output: str) -> None:  # noqa: FBT001  # click passes flags by name
    """End a lab and remove what is left of it.

    That works also if it is dead already.
    """
    names = state.names() if every else [name]
    for each in names:
        asyncio.run(launch.stop(state.layout(each)))
    emit(output, {"ended": names}, [f"lab {each} is gone" for each in names])


@lab.command(
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "lab run client -- curl -s http://198.51.100.100/",
        "lab run node/worker-1 -- nft list ruleset",
        "lab run pod/default/web-0 -- cat /etc/resolv.conf",
    ),
)
@click.argument("where")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout",
    type=float,
    default=0.0,
    help="Seconds after which it is killed; never by default. Only for --output json.",
)
@name_option
@output_option
@explained
def run(where: str, argv: tuple[str, ...], timeout: float, name: str, output: str) -> None:
    """Run a command in the lab.

    WHERE is client, node/NAME or pod/NAMESPACE/NAME[/CONTAINER].
    """
    there = Lab.attach(name)
    if output == "text":
        _become(*there.command_at(where, argv))
    result = asyncio.run(there.run(where, argv, check=False, timeout_s=timeout or float("inf")))
    click.echo(json.dumps({"code": result.code, "stdout": result.stdout, "stderr": result.stderr}, indent=1))
    sys.exit(result.code if result.code >= 0 else 128 - result.code)


@lab.command(epilog=examples("lab shell node/worker-1"))
@click.argument("where")
@name_option
@explained
def shell(where: str, name: str) -> None:
    """Open a shell in the lab.

    WHERE is client, node/NAME or pod/NAMESPACE/NAME[/CONTAINER].
    """
    argv = ["bash", "--norc", "-i"] if shutil.which("bash") else ["sh", "-i"]
    command, environment = Lab.attach(name).command_at(where, argv)
    prompt = {"PS1": f"[{name} {where}] \\w # ", "TERM": os.environ.get("TERM", "dumb")}
    _become(command, environment | prompt)


@lab.command(epilog=examples("lab logs apiserver", "lab logs -F agent/worker-1", "lab logs pod/default/web-0"))
@click.argument("process")
@click.option("--follow", "-F", is_flag=True, help="Go on with what is written from now on.")
@name_option
@explained
def logs(process: str, follow: bool, name: str) -> None:  # noqa: FBT001  # click passes flags by name
    """Print a process's or pod's log.

    PROCESS is init, apiserver, controllers, olm, agent/NODE or pod/NAMESPACE/NAME[/CONTAINER], or audit: who asked the
    API server for what.

    The logs of a dead lab can be read until `lab down`.
    """
    if process.startswith("pod/"):
        _pod_logs(Lab.attach(name), process, follow=follow)
    file = state.layout(name).log(process)
    state.is_alive(state.layout(name))
    if not file.exists():
        known = ", ".join(
            sorted(each.stem.replace("-", "/", each.stem.startswith("agent-")) for each in file.parent.glob("*.log"))
        )
        raise PlaceError(f"{process!r} has no log; these have: {known}")
    _become(["tail", "-n", "+1", *(["-f"] if follow else []), str(file)], dict(os.environ))


@lab.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    epilog=examples("lab kubectl get pods -A -o wide"),
)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
@click.option("--lab", "name", default=state.DEFAULT_NAME, envvar="KUBELAB_NAME")
@explained
def kubectl(argv: tuple[str, ...], name: str) -> None:
    """Run kubectl as administrator.

    --lab NAME before kubectl's own arguments chooses the lab.
    """
    there = Lab.attach(name)
    _become(there.kubectl_command(*argv), there.kubectl_environment())


lab.add_command(fault)
lab.add_command(conformance)


def _cluster(file: str | None) -> Cluster:
    if file is None:
        return Cluster.default()
    if file == "-":
        return parse_text(sys.stdin.read(), "standard input")
    return parse_text(Path(file).read_text(encoding="utf-8"), file)


def _with_olm(cluster: Cluster, given: Sequence[str]) -> Cluster:
    """The cluster with the catalogs and bundles of the command line, beside those of its file."""
    images = dict(cluster.olm or {})
    for each in given:
        image, separator, folder = each.partition("=")
        if not separator or not Path(folder).is_dir():
            raise click.BadParameter(
                f"{each!r}: want IMAGE=FOLDER, and a folder that is there", param_hint="--with-olm"
            )
        images[image] = str(Path(folder).resolve())
    return dataclasses.replace(cluster, olm=images) if given else cluster


def _document(name: str) -> Json:
    """What `status` says of a lab.

    Raises:
        LabNotFoundError: there is none.
    """
    files = state.layout(name)
    alive = state.is_alive(files)
    try:
        record = state.read_record(files)
    except LabNotFoundError:
        record = None
    return report.lab_document(files, record, ProcessTable.read(record.pid if record and alive else 0), alive=alive)


def _pod_logs(there: Lab, pod: str, *, follow: bool) -> NoReturn:
    """Become the kubectl that prints a pod's log."""
    parts = pod.split("/")
    if len(parts) not in (3, 4):  # with or without a container
        raise PlaceError(f"{pod!r}: a pod is named pod/NAMESPACE/NAME or pod/NAMESPACE/NAME/CONTAINER")
    container = ["-c", parts[3]] if parts[3:] else []
    command = there.kubectl_command("logs", "-n", parts[1], parts[2], *container, *(["-f"] if follow else []))
    _become(command, there.kubectl_environment())


def _become(command: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process: what comes then has the terminal, and its exit code is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvpe(command[0], list(command), environment)  # noqa: S606  # an argument list, and the point
