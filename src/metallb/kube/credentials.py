"""Who we are to the API server: from a pod's service account, or from kubeconfig files.

`find()` follows the usual order: an explicit file, `$KUBECONFIG`, the pod's service account, `~/.kube/config`.
Tokens are read again when their file changes (bound tokens rotate hourly, KEP-1205) and when the server answers 401;
exec plugins (KEP-541) are asked again when their token expires.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from metallb.kube.pem import load_chain

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a pod's token, CA and namespace."""

TOKEN_CHECK_S: Final = 10.0
"""How often a token's file is looked at, in seconds."""


class CredentialsError(Exception):
    """No usable credentials: names the source (a file or an environment), the field and the rule it breaks."""

    def __init__(self, source: str, field: str, rule: str) -> None:
        super().__init__(f"{source}: {field}: {rule}" if field else f"{source}: {rule}")
        self.source = source
        self.field = field
        self.rule = rule


class TokenSource(Protocol):
    """Gives the value of the header `Authorization`."""

    async def authorization(self, now: float) -> str:
        """The header's value, empty for none; `now` in monotonic seconds.

        Raises:
            CredentialsError: the token can't be read or made.
        """

    def refuse(self) -> bool:
        """The server answered 401: forgets what is cached. False: there is nothing newer to be had."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A header that never changes: a literal token, basic authentication, or none at all."""

    header: str = ""

    async def authorization(self, now: float) -> str:  # noqa: ARG002  # the protocol's argument
        """The header."""
        return self.header

    def refuse(self) -> bool:
        """Nothing newer."""
        return False


@dataclass(slots=True)
class FileToken:
    """A bearer token in a file that others replace."""

    path: Path
    _header: str = ""
    _seen: tuple[int, int, int] | None = None
    _checked: float = float("-inf")

    async def authorization(self, now: float) -> str:
        """The token as it is in the file now, looked at each `TOKEN_CHECK_S`.

        While the file can't be read the last token stays in use: a rotation must not take the process down.

        Raises:
            CredentialsError: there has never been a token.
        """
        if now - self._checked >= TOKEN_CHECK_S or not self._header:
            self._checked = now
            self._read()
        return self._header

    def refuse(self) -> bool:
        """Reads the file again at the next request."""
        self._checked = float("-inf")
        self._seen = None
        return True

    def _read(self) -> None:
        try:
            stat = self.path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            token = self.path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            if self._header:
                return
            raise CredentialsError(str(self.path), "", f"can't read the token: {error}") from error
        if token:
            self._header = f"Bearer {token}"
            self._seen = seen
        elif not self._header:
            raise CredentialsError(str(self.path), "", "the token is empty")


@dataclass(slots=True)
class Tls:
    """How the server is verified and how we show who we are; contents win over files.

    `context()` is made once and again when one of the files changes.
    """

    ca_file: Path | None = None
    ca_data: str = ""
    cert_file: Path | None = None
    key_file: Path | None = None
    cert_data: str = ""
    key_data: str = ""
    server_name: str = ""
    insecure: bool = False
    _context: ssl.SSLContext | None = None
    _seen: tuple[int, ...] = ()

    def context(self) -> ssl.SSLContext:
        """A client context.

        Raises:
            CredentialsError: a certificate, key or file is unusable.
        """
        seen = self._stamp()
        if self._context is None or (seen and seen != self._seen):
            self._context = self._make()
            self._seen = seen
        return self._context

    def present(self, cert_pem: str, key_pem: str) -> None:
        """Takes a client certificate that an exec plugin made."""
        if (cert_pem, key_pem) != (self.cert_data, self.key_data):
            self.cert_data, self.key_data, self._context = cert_pem, key_pem, None

    def _stamp(self) -> tuple[int, ...]:
        stamps: list[int] = []
        for path in (self.ca_file, self.cert_file, self.key_file):
            try:
                stamps += [path.stat().st_mtime_ns] if path is not None else []
            except OSError:
                return self._seen
        return tuple(stamps)

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            if self.ca_data:
                context.load_verify_locations(cadata=self.ca_data)
            elif self.ca_file is not None:
                context.load_verify_locations(cafile=self.ca_file)
            elif not self.insecure:
                context.load_default_certs()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CredentialsError(str(self.ca_file or "CA data"), "certificate-authority", str(error)) from error
        try:
            self._show(context)
        except (OSError, ValueError) as error:
            raise CredentialsError(str(self.cert_file or "client data"), "client-certificate", str(error)) from error
        return context

    def _show(self, context: ssl.SSLContext) -> None:
        if self.cert_data:
            load_chain(context, self.cert_data, self.key_data)
        elif self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)


@dataclass(slots=True)
class Credentials:
    """An API server and who we are to it.

    Attributes:
        server: URL without a trailing slash, e.g. `https://198.18.128.1:443`.
        namespace: ours, or the context's default; may be empty.
        tls: used for https servers only.
        tokens: gives the header `Authorization`.
        source: where all this comes from, for messages.
    """

    server: str
    namespace: str = ""
    tls: Tls = field(default_factory=Tls)
    tokens: TokenSource = field(default_factory=FixedToken)
    source: str = "arguments"


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Credentials:
    """A pod's credentials (Kubernetes documentation, "Accessing the API from within a Pod").

    Raises:
        CredentialsError: this is no pod, or it has no service account token.
    """
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise CredentialsError("environment", "KUBERNETES_SERVICE_HOST", "not set: this is no pod")
    token = folder / "token"
    if not token.exists():
        raise CredentialsError(str(token), "", "missing: the pod has no service account token")
    return Credentials(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=pod_namespace(folder),
        tls=Tls(ca_file=folder / "ca.crt"),
        tokens=FileToken(token),
        source="service account",
    )


def pod_namespace(folder: Path = SERVICE_ACCOUNT) -> str:
    """The namespace of the pod we run in; empty if this is no pod."""
    try:
        return (folder / "namespace").read_text().strip()
    except OSError:
        return ""


def find(
    environ: Mapping[str, str],
    *,
    home: Path | None = None,
    kubeconfig: Path | None = None,
    context: str = "",
    service_account: Path = SERVICE_ACCOUNT,
) -> Credentials:
    """The first of: `kubeconfig`, the files of `$KUBECONFIG`, the pod's service account, `~/.kube/config`.

    Args:
        environ: usually `os.environ`.
        home: the user's home, usually `Path.home()`; None: no such file is looked for.
        kubeconfig: a file that was asked for by name.
        context: a context of the kubeconfig; empty means its current one.
        service_account: the folder of the pod's token.

    Raises:
        CredentialsError: nothing usable was found.
    """
    if kubeconfig is not None:
        return _load([kubeconfig], context)
    listed = [Path(name) for name in environ.get("KUBECONFIG", "").split(":") if name]
    if listed:
        return _load(listed, context)
    if not context and environ.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return in_cluster(environ, service_account)
    default = None if home is None else home / ".kube" / "config"
    if default is not None and default.exists():
        return _load([default], context)
    raise CredentialsError("environment", "", "no kubeconfig, and this is no pod: set KUBECONFIG")


def _load(files: list[Path], context: str) -> Credentials:
    from metallb.kube.kubeconfig import load  # a pod has none

    return load(files, context)
