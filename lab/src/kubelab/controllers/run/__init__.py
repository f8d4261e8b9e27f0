"""Thin shells around the decisions: they gather what a decision needs and carry out what it says."""
