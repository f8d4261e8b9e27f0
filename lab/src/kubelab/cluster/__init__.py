"""What a lab consists of: the cluster file as values, and the addresses that follow from it. Pure."""

from kubelab.cluster.addresses import Host, Interface, Plan, plan
from kubelab.cluster.errors import ClusterError, FieldProblem
from kubelab.cluster.model import Bgp, Client, Cluster, Network, Node, Ranges, Router, Taint
from kubelab.cluster.read import parse, parse_text

__all__ = [
    "Bgp",
    "Client",
    "Cluster",
    "ClusterError",
    "FieldProblem",
    "Host",
    "Interface",
    "Network",
    "Node",
    "Plan",
    "Ranges",
    "Router",
    "Taint",
    "parse",
    "parse_text",
    "plan",
]
