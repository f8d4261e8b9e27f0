"""Change objects as clients ask: JSON, merge and strategic patches, server-side apply; who owns which field.

`json_patch.apply`, `merge.apply` and `strategic.apply` make the patched object; `apply.apply` merges an applied
configuration; `managed.track_update` keeps `metadata.managedFields` for every other write. All is pure: no input is
changed, results may share parts with the inputs.
"""
