"""What built-in kinds do beyond their schema: defaults, allocation, rules, access, admission and table columns."""

from kubelab.apiserver.builtin.families import strategies

__all__ = ["strategies"]
