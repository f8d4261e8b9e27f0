"""What a speaker does not bring with it: it runs on each node, and each MiB is there once a node."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

HEAVY: Final = (
    "aiohttp.web",  # the framework; its server is enough
    "cryptography.x509",  # certificates are made by a process that ends
    "http.server",
    "importlib.metadata",
    "kubelab",
    "metallb.cli.documents",
    "metallb.controller",
    "metallb.kube.authority",
    "metallb.kube.certificates",
    "metallb.kube.kubeconfig",  # a pod has none
    "metallb.operator",
    "multiprocessing",
    "prometheus_client",
    "rich",
    "unittest",
    "wsgiref",
    "xml",
)

PROGRAM: Final = """
import json, ssl, sys
import metallb.cli.main, metallb.cli.speaker, metallb.speaker.main
from aiohttp import connector
trusted = connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"]
print(json.dumps([sorted(sys.modules), trusted, ssl.SSLContext.load_default_certs.__qualname__]))
"""


def test_a_speaker_imports_nothing_heavy_and_reads_no_system_certificates() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=300)
    modules, trusted, restored = json.loads(done.stdout)
    heavy = [name for name in modules if any(name == each or name.startswith(f"{each}.") for each in HEAVY)]
    assert heavy == []
    assert trusted == 0
    assert restored == "SSLContext.load_default_certs", "who asks for them gets them"
    assert "metallb.speaker.outpost" in modules
