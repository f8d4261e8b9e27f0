"""`metallb validate`: the checks of the webhooks, on files, before anything is applied."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn, get_args

import click

from metallb.cli import kustomize
from metallb.cli.documents import Document, UnreadableError, files_of, read_bytes, read_file
from metallb.cli.findings import Severity
from metallb.cli.flags import SettingsError, bgp_type
from metallb.cli.judging import Present, Report, judge
from metallb.cli.output import Exit, Format, output_option, show
from metallb.config.backends import Backend

_STDIN: Final = "-"

_EPILOG: Final = """\b
Exit codes:
  0  no errors; there may be warnings
  1  errors, with --strict also warnings
  2  wrong usage, an input that can't be read, or no answer from the cluster

\b
Examples:
  metallb validate -f pools.yaml -f peers.yaml
  metallb validate -R -f config/ --backend frr
  metallb validate -k overlays/production --strict --output json
  helm template . | metallb validate -f -
  metallb validate -f pools.yaml --cluster
"""


@click.command(
    "validate",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-f",
    "--filename",
    "names",
    multiple=True,
    metavar="FILE",
    help="A YAML or JSON file, a folder, or - for standard input. More may follow it.",
)
@click.option(
    "-k",
    "--kustomize",
    "folders",
    multiple=True,
    metavar="DIR",
    help="A kustomization, built by kubectl or kustomize on PATH.",
)
@click.option("-R", "--recursive", is_flag=True, help="Folders of -f with all that is in them.")
@click.option(
    "-n",
    "--namespace",
    default="metallb-system",
    show_default=True,
    help="MetalLB's namespace; also of objects that name none.",
)
@click.option(
    "--backend",
    type=click.Choice(get_args(Backend)),
    default=None,
    help="What speaks BGP.  [default: $METALLB_BGP_TYPE, or native]",
)
@click.option("--cluster", is_flag=True, help="Judge the files as changes of the cluster that kubectl would take.")
@click.option("--kubeconfig", default="", metavar="FILE", help="The same, by this kubeconfig.")
@click.option("--context", default="", help="The same, by this context of the kubeconfig.")
@click.option("--strict", is_flag=True, help="Warnings, and what waits for other objects, count as errors.")
@output_option
@click.argument("more", nargs=-1, metavar="[FILE]...")
def command(
    *,
    names: tuple[str, ...],
    folders: tuple[str, ...],
    recursive: bool,
    namespace: str,
    backend: Backend | None,
    cluster: bool,
    kubeconfig: str,
    context: str,
    strict: bool,
    output: Format,
    more: tuple[str, ...],
) -> None:
    """Check MetalLB's configuration in files, as its webhooks would, before it is applied.

    Objects of metallb.io are checked by their schema, then all together. Namespaces, Nodes, Services and Secrets among
    them are taken into account, other kinds are left out.
    """
    files = (*names, *more)
    if not files and not folders:
        raise click.UsageError("give files by -f, or a kustomization by -k")
    try:
        documents = list(_documents(files, folders, recursive=recursive))
        found = _present(namespace, kubeconfig, context) if cluster or kubeconfig or context else None
        report = judge(documents, namespace=namespace, backend=backend or bgp_type(os.environ), present=found)
    except (UnreadableError, SettingsError) as error:
        _fail(error)
    show(report.findings, output, lambda _: _text(report))
    failing: set[Severity] = {"error", "transient", "warning"} if strict else {"error"}
    sys.exit(Exit.FAILED if any(each.severity in failing for each in report.findings) else Exit.OK)


def _fail(error: Exception) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    sys.exit(Exit.USAGE)


def _documents(names: Sequence[str], folders: Sequence[str], *, recursive: bool) -> Iterator[Document]:
    if names.count(_STDIN) > 1:
        raise UnreadableError("-: standard input can be read once only")
    for name in names:
        if name == _STDIN:
            yield from read_bytes(_STDIN, sys.stdin.buffer.read())
        else:
            for path in files_of([name], recursive=recursive):
                yield from read_file(path)
    for folder in folders:
        yield from kustomize.build(folder)


def _present(namespace: str, kubeconfig: str, context: str) -> Present:
    from metallb.cli.present import read_present  # the client takes longer to load than most files to judge

    return read_present(os.environ, namespace, kubeconfig=kubeconfig, context=context)


def _text(report: Report) -> str:
    return "\n".join([*map(str, report.findings), _summary(report)])


def _summary(report: Report) -> str:
    counts = Counter(each.severity for each in report.findings)
    parts = [
        _count(counts["error"], "error", "errors"),
        _count(counts["transient"], "waits for another object", "wait for other objects"),
        _count(counts["warning"], "warning", "warnings"),
    ]
    left = f", {report.surrounding} taken into account" if report.surrounding else ""
    left += f", {report.ignored} of other kinds left out" if report.ignored else ""
    told = ", ".join(part for part in parts if part) or ("all is valid" if report.judged else "nothing is wrong")
    return f"{_count(report.judged, 'object', 'objects') or 'no object'} judged{left}: {told}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""
