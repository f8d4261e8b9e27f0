"""Packages the operator for the Operator Lifecycle Manager, from `manifests/` and `src/metallb/api`."""
