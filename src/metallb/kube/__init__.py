"""The Kubernetes API: client, informers, work queues, apply, leases, events, serving."""
