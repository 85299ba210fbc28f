"""Declarative quality checks: `kind: not_null` and others in a template become GoogleSQL when a run is checked (docs/data-quality.md).

    `kinds`       a check of a template -> a rule of `row_kinds` or `load_kinds`; raises TemplateError for a wrong declaration
    `row_kinds`   rules for single rows; rows that break one are sampled
    `load_kinds`  rules for all staged rows together
    `compose`     all checks of a step, custom blocks included -> one query that reads the staging table once

Identifiers come from the template, are checked against a pattern and the staging table's columns, and are quoted. Every value is a query
parameter. `verdicts` judges the query's result.
"""
