"""A snapshot of resources becomes one immutable Config, or every error in it at once."""
