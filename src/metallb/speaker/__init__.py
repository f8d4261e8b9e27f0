"""The speaker's process: one a node, it announces the addresses that the node is elected for."""
