"""A Kubernetes cluster in a box: real kubectl, pods as processes, real packets, no containers."""
