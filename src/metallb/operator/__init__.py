"""The operator's process: a MetalLB resource becomes a controller and speakers."""
