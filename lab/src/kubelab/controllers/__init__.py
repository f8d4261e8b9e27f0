"""The embedded engine's controllers: workloads, scheduling, endpoints, node health, garbage collection."""
