"""Tables: the columns and cells that `kubectl get` shows of built-in kinds."""

from kubelab.apiserver.builtin.printers.ages import age, duration
from kubelab.apiserver.builtin.printers.tables import DEFAULT, Printer, columns

__all__ = ["DEFAULT", "Printer", "age", "columns", "duration"]
