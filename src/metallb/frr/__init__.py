"""Config and advertisements become FRR's text, and its minimal change."""
