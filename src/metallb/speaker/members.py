"""What gossip is told at its start: where to listen, the key, the file of settings (spec/speaker.md 3.1 to 3.3)."""

from __future__ import annotations

from pathlib import Path

from metallb.api import duration
from metallb.api.net import Address
from metallb.kube.daemon import StartError
from metallb.protocols.swim import settings as defaults
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring, derive_key
from metallb.protocols.swim.roster import Endpoint
from metallb.protocols.swim.tuning import FromFile, parse
from metallb.speaker.gossip import Gossip, Outlets
from metallb.speaker.settings import SpeakerSettings
from metallb.telemetry import logs

SETTINGS_FILE = Path("/etc/metallb/memberlist/config.json")
KEY_FILE = "secretkey"

_NANOSECONDS = 1_000_000_000
_log = logs.logger(op="startup")


def gossip_of(settings: SpeakerSettings, outlets: Outlets) -> Gossip | None:
    """The gossip that the flags ask for; None: they ask for none, and the API alone says who has a speaker.

    Raises:
        StartError: the address, the key or the file of settings can't be used: names it, its value and the rule.
    """
    if not (settings.ml_bind_address and settings.ml_labels):
        _log.info("gossip is off: --ml-bindaddr and --ml-labels are not both given; the API says who has a speaker")
        return None
    listen = Endpoint(_bind_address(settings.ml_bind_address).pack(), settings.ml_bind_port)
    tuned = _tuned(settings)
    framing = Framing(
        _keyring(settings.ml_secret_key_path), tuned.compress, tuned.verify_incoming, tuned.verify_outgoing
    )
    return Gossip(settings.node_name, listen, framing, tuned.settings, outlets)


def _bind_address(text: str) -> Address:
    try:
        address = Address.parse(text)
    except ValueError:
        raise StartError(f"--ml-bindaddr={text!r}: want an IP address of this node") from None
    if address.value == 0:
        raise StartError(f"--ml-bindaddr={text!r}: want the address by which other nodes reach this one")
    return address


def _keyring(folder: str) -> Keyring | None:
    if not folder:
        _log.warn("gossip is not encrypted: --ml-secret-key-path is not given")
        return None
    path = Path(folder) / KEY_FILE
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise StartError(f"--ml-secret-key-path={folder!r}: {path} can't be read: {error.strerror}") from error
    if not secret:
        _log.warn("gossip is not encrypted: the key is empty", file=str(path))
        return None
    return Keyring((derive_key(secret),))


def _tuned(settings: SpeakerSettings, path: Path = SETTINGS_FILE) -> FromFile:
    """The file, if there is one, replaces everything; so upstream has it."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return FromFile(defaults.WAN if settings.ml_wan_config else defaults.LAN)
    except OSError as error:
        raise StartError(f"{path} can't be read: {error.strerror}") from error
    if settings.ml_wan_config:
        _log.warn("--ml-wan-config has no effect: the file of settings takes its place", file=str(path))
    try:
        return parse(text, lambda written: duration.parse(written) / _NANOSECONDS)
    except ValueError as error:
        raise StartError(f"{path} {error}") from None
