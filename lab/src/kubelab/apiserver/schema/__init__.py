"""Structural types: built-in ones from published OpenAPI data, custom ones from their CRD. Pure.

For other rooms: `model.Schema` and `builtin.Types`; `structural` (CRD schema to type, or its faults); on the way of a
body, in this order: `prune.duplicate_fields`, `decode.check_types` (built-in) or `decode.check_metadata` (custom),
`prune.prune`, `default.apply_defaults`, then for custom kinds `validate.validate` and `rules.check_rules`; for
publication `openapi_v2`, `openapi_proto`, `openapi_v3`.
"""
