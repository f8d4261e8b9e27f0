"""The embedded engine: a small API server that speaks enough of the real protocol for unmodified clients."""
