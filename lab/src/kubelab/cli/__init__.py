"""The command `lab`, for use as `kubelab` or as a subcommand of another program."""

from kubelab.cli.commands import lab

__all__ = ["lab"]
