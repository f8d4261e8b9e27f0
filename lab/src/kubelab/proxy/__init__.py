"""Service traffic as nftables rules in each node."""
