"""Brings the control dataset up to a release, while processes of the release before go on.

What a release needs is said in two ways:
    1. `configs/bigquery/control` says which tables, columns and views there are. What is missing is created: this is all that most releases
       need, and nothing that exists is ever dropped, renamed or given another type.
    2. `migrations.sql` has what creating cannot do, in order and numbered. A migration is applied once. It may be run twice, or break off
       and be run again, and statements of the release before must work before, during and after it.

`schema_state` has the number of the last migration and the lock: of several bootstraps at once one works, and the others wait for it. A
dataset that is newer than the release is left alone, so that an older release may be deployed again.
"""
