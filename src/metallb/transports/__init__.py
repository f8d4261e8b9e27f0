"""Bytes in, bytes out: packet sockets, netlink, and the driver that runs machines on a clock."""
