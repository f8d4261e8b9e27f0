"""What each controller would write, given what there is: pure functions from objects to writes.

Clock and chance are arguments. Semantics and wording are those of kube-controller-manager and kube-scheduler 1.36.
"""
