"""What `make` runs: set-up, generation, the demo."""
