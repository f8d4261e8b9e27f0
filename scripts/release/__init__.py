"""Builds all that is published of a version, from a commit: the same commit gives the same bytes."""
