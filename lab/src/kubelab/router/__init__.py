"""The lab's routers with a routing daemon: FRR or BIRD, which take BGP sessions from the nodes."""
