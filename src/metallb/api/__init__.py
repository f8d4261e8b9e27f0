"""What users write: typed models of every custom resource, and of the few core fields we read."""
