"""The node agent: pods as processes, with volumes, probes, logs and restarts."""
