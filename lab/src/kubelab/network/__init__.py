"""Namespaces, bridges and links of a lab, and what `down` takes away again."""
