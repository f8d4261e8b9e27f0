"""MetalLB and its operator: load balancers for Kubernetes clusters that have no cloud."""
