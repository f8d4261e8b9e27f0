"""Who announces which address to whom, and why not."""
