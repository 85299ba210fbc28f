"""A proxy in front of the BigQuery emulator that is as strict as BigQuery where the emulator is lenient.

    rules = StrictBigQuery(upstream="127.0.0.1:9050", seconds=(1.0, 2.0))
    with strict_bigquery(rules):
        ...  # BIGQUERY_EMULATOR_HOST=rules.url

What it adds; each is an option of `StrictBigQuery`, or always on.
    conflicts   Always on, by table, whichever rows or partitions are changed ("Multi-statement transactions", concurrency; "Data
                manipulation language", concurrent jobs). INSERT and SELECT conflict with nothing.
                - Two UPDATE, DELETE or MERGE statements run at a time on a table, and twenty wait.
                - A transaction holds each table from its first mutation of it to its end. Plain mutations wait for that end.
                - A transaction is cancelled, "Transaction is aborted due to concurrent update against table X.", when it is about to mutate
                  a table that another open transaction has mutated, that a plain mutation is changing, or that was mutated since its BEGIN.
    rate        25 DML statements in 10 seconds a table ("Quotas and limits").
    seconds     How long each statement takes, so that budgets are felt. A script takes as long as its statements together.
    streaming   Streamed rows cannot be changed ("Streaming data", limitations). `young_seconds`: what is streamed into a table younger
                than that is accepted, and lost, as happens after a table was made anew ("Metadata errors for streaming inserts").
    bad minutes `job_error_every`: each n-th job fails with 400 jobBackendError and does nothing ("Error messages").
                `poll_error_every`: each n-th request for a job's state is answered 503. `lose_every`: each n-th change is done and its
                answer lost. `longest_delay`: requests arrive late.
    billing     `billing`: the bytes billed for each statement of a job. A job that would be billed more than its maximumBytesBilled is
                refused. The job's description has the bytes billed ("Estimate and control costs").
    rights      `iam`: who made a dataset, and which rights were granted (`iam.py`). Each account has its own proxy URL,
                `rules.url_of(account)`, which its process gets as BIGQUERY_EMULATOR_HOST.

How a script is placed in time
    The emulator runs a script as a whole; BigQuery runs one statement after the other. So the proxy first simulates the script's time:
    - For each statement it takes the table: a plain mutation takes its turn in the table's queue; a mutation in a transaction takes the
      table until the transaction ends. It waits as long as the statement takes, and goes on.
    - At the last statement that changes something it sends the whole script to the emulator, while the tables of that statement and of the
      script's transactions are still held. Then it releases them, and waits for the reads that follow.
    - A script that is cancelled before was never sent on: it has changed nothing, but its time is spent.
    So the order in which a script uses tables matters as in BigQuery: a table that a transaction mutates last is held for that statement
    only, but must not have been mutated by others since BEGIN.

Where the model is stricter than BigQuery, or simpler
    Every branch of an IF is walked, and a ROLLBACK in one changes nothing: a transaction lasts until its COMMIT. A mutation that finds no
    row counts as one. A transaction reads what is there when it is sent on, not a snapshot of its BEGIN. It holds its tables also
    while plain statements behind it wait and work, because the emulator has not run it yet; but for a table that one of them changes.
    Plain statements of a script that come before its last one let go of their tables before the emulator has run them. A job is answered
    when it is done, however short a time the caller said that it would wait.
"""

from tests.support.strict_bigquery.billing import Billing
from tests.support.strict_bigquery.iam import Iam
from tests.support.strict_bigquery.proxy import strict_bigquery
from tests.support.strict_bigquery.refused import Lost, Refused
from tests.support.strict_bigquery.rules import OUTSTANDING, RATE, RUNNING, StrictBigQuery

__all__ = ["OUTSTANDING", "RATE", "RUNNING", "Billing", "Iam", "Lost", "Refused", "StrictBigQuery", "strict_bigquery"]
