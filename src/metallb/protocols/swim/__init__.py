"""Membership by gossip: who has a living speaker (SWIM, in the form of hashicorp/memberlist 0.5)."""
