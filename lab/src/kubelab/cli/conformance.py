"""`lab conformance`: how a cluster's API server compares with a real one, case by case."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path

import click

from kubelab import kubeconfig, state
from kubelab.cli.conventions import emit, examples, explained, name_option, output_option
from kubelab.conformance import cases
from kubelab.conformance.cases import Case
from kubelab.conformance.running import Runner, Verdict, judged
from kubelab.kubeconfig import Connection

_SHOWN = 300
"""Characters of a difference in a text."""


@click.command(
    epilog=examples(
        "lab conformance", "lab conformance --kubeconfig ~/.kube/config --case watch", "lab conformance --output json"
    )
)
@click.option("--kubeconfig", "path", type=click.Path(dir_okay=False), help="Another cluster than the lab.")
@click.option("--case", "wanted", default="", help="Only cases with this in their topic or sentence.")
@click.option(
    "--record", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Write answers there as the truth."
)
@name_option
@output_option
@explained
def conformance(path: str | None, wanted: str, record: Path | None, name: str, output: str) -> None:
    """Compare an API server with what a real one answered.

    Each case is a few requests in a namespace of its own, which is gone afterwards. Without --kubeconfig the lab's API
    server is asked, or that of $KUBECONFIG where no lab runs.
    """
    chosen = [case for case in cases.load() if wanted.lower() in f"{case.topic} {case.name}".lower()]
    if not chosen:
        raise click.UsageError(f"no case has {wanted!r} in its topic or sentence")
    verdicts = asyncio.run(_verdicts(kubeconfig.load(_kubeconfig(path, name)), chosen))
    if record is not None:
        cases.write_recorded(record, {(v.case.topic, v.case.name): list(v.answers) for v in verdicts if v.answers})
        return
    emit(output, [_document(each) for each in verdicts], _lines(verdicts))
    if not all(each.conforms for each in verdicts):
        sys.exit(1)


def _kubeconfig(path: str | None, name: str) -> Path:
    if path:
        return Path(path)
    ours = state.layout(name).kubeconfig
    return ours if ours.exists() or not os.environ.get("KUBECONFIG") else Path(os.environ["KUBECONFIG"])


async def _verdicts(connection: Connection, chosen: list[Case]) -> list[Verdict]:
    async with Runner(connection, secrets.randbelow) as runner:
        return await judged(runner, chosen, cases.recorded())


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "topic": verdict.case.topic,
        "case": verdict.case.name,
        "conforms": verdict.conforms,
        "differences": list(verdict.differences),
    }


def _lines(verdicts: list[Verdict]) -> list[str]:
    lines = []
    topic = ""
    for each in verdicts:
        if each.case.topic != topic:
            topic = each.case.topic
            lines.append(topic)
        lines.append(f"  {'ok     ' if each.conforms else 'differs'}  {each.case.name}")
        lines += [f"             {line[:_SHOWN]}" for line in each.differences]
    good = sum(each.conforms for each in verdicts)
    return [*lines, f"{good} of {len(verdicts)} are as {cases.RECORDED_FROM} answers"]
