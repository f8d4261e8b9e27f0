"""The main job, told step by step: from an empty machine to a served request, and on after a node's death."""
