"""Makes the container images: `make images`."""
