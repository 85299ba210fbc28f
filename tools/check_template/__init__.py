"""Checks one template: `python -m tools.check_template configs/gcp/cost/billing.yml`; `make check-template FILE=...` calls it.

Names all faults at once, as `file:line:column: what is wrong`: what the executor would refuse when it loads the file, what the schema for
editors refuses, and what Google's analyzer says of the SQL that the template names and its steps compose.
"""
