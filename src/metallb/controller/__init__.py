"""The controller's process: Services get their addresses."""
