"""Structural types: built-in ones from published OpenAPI data, custom ones from their CRD. Pure."""
