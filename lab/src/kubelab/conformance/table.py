"""The suite as a page: every behaviour, and how the embedded engine does. `python -m kubelab.conformance.table`."""

from __future__ import annotations

import sys

from kubelab.conformance import cases, embedded

_HEAD = """# How the lab's API server compares with a real one

*Written by `python -m kubelab.conformance.table` from the cases of `kubelab.conformance`.*

The lab has its own API server, the embedded engine. What it answers is held against what {recorded} answered to the
same requests: {count} behaviours, each some requests in a namespace of its own. An answer counts as the same if its
status, its warnings and each field of its body are, but for what every server chooses itself (versions, ids, times,
generated names, addresses) and for the order of several errors.

`metallb lab conformance` runs them against the lab, and with `--kubeconfig FILE` against any other cluster: against a
real one of another version it shows what has changed. `--case WORDS` chooses some, `--output json` is for programs.

Of the embedded engine {same} are as recorded; {other} differ, and the table says in what. What is no behaviour of a
single request (controllers, kubectl's own output) is held against recordings in other tests; what the engine does not
do at all is listed in [lab.md](lab.md#what-differs-from-a-real-api-server).

What no request brings about is no case, either: pages and old lists expire (410) when the store is compacted, which a
real server does minutes later and of its own accord; and webhooks that answer late, wrongly, hang up or have a
certificate for another name would need a server that every cluster reaches. The engine's tests have both.
"""


def document() -> str:
    """The page in Markdown."""
    found = cases.load()
    other = len(embedded.DIFFERS)
    text = [_HEAD.format(recorded=cases.RECORDED_FROM, count=len(found), same=len(found) - other, other=other)]
    topic = ""
    for case in found:
        if case.topic != topic:
            topic = case.topic
            text.append(f"\n## {topic}\n\n| behaviour | embedded engine |\n|---|---|\n")
        why = embedded.DIFFERS.get(case.name)
        text.append(f"| {case.name} | {'as recorded' if why is None else 'differs: ' + why} |\n")
    return "".join(text)


if __name__ == "__main__":
    sys.stdout.write(document())
