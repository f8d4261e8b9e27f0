"""What built-in kinds do beyond their schema: defaults, validation, allocation, columns."""
