"""Neighbour Discovery (RFC 4861): codec, responder and unsolicited advertisements."""
