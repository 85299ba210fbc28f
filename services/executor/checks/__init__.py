"""Declarative quality checks: `kind: not_null` and the like in a template, GoogleSQL when a run is checked (docs/data-quality.md).

    `kinds`       a check of a template -> one of `row_kinds` or `load_kinds`; whatever is wrong with it is a TemplateError
    `row_kinds`   rules that single rows keep or break; rows that break one are sampled
    `load_kinds`  rules for all staged rows together
    `compose`     all checks of a step, custom blocks included, -> one query with one pass over the staging table

Identifiers come from the template, are checked against a pattern and against the staging table's columns, and are quoted. Values are query
parameters, without exception. `verdicts` judges what the query answers.
"""
