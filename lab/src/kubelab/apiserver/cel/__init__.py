"""Validation rules of custom types in CEL (`x-kubernetes-validations`; KEP-2876, KEP-4008): compiled, checked, asked.

`evaluator.RuleEvaluator` is what the server holds. A rule's text is cut into words (`words`), its names are held
against the type (`checking`), and it is handed to the CEL library (`programs`) together with Kubernetes' own functions
(`functions`, `texts`, `lists`, `networks`, `quantities`, `named_formats`). Values of an object become values of CEL in
`values`.
"""
