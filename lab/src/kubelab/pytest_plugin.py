"""Fixtures for tests in a lab."""
