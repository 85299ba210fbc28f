"""A proxy in front of the BigQuery emulator that is as strict as BigQuery where the emulator is lenient.

    rules = StrictBigQuery(upstream="127.0.0.1:9050", seconds=(1.0, 2.0))
    with strict_bigquery(rules):
        ...  # BIGQUERY_EMULATOR_HOST=rules.url

What it adds; each is an option of `StrictBigQuery`, or always on.
    conflicts   Always on. Of UPDATE, DELETE and MERGE two run at a time on a table and twenty wait. A transaction holds each table from
                its first mutation of it to its end: plain mutations wait for that end. A transaction is cancelled, "Transaction is aborted
                due to concurrent update against table X.", when it comes to mutate a table that another open transaction has mutated, that
                a plain mutation is changing, or that anybody has mutated since its BEGIN. INSERT conflicts with nothing, nor does SELECT.
                All of this by table, whatever rows or partitions are meant ("Multi-statement transactions", concurrency; "Data
                manipulation language", concurrent jobs).
    rate        25 DML statements in 10 seconds a table ("Quotas and limits").
    seconds     How long each statement takes, so that budgets are felt. A script takes as long as its statements together.
    streaming   Streamed rows cannot be changed ("Streaming data", limitations). `young_seconds`: what is streamed into a table younger
                than that is accepted, and lost, as happens after a table was made anew ("Metadata errors for streaming inserts").
    bad minutes `job_error_every`: each n-th job fails with 400 jobBackendError and does nothing ("Error messages").
                `poll_error_every`: each n-th question for a job is answered 503. `lose_every`: each n-th change is done and its answer
                lost. `longest_delay`: requests arrive late.
    billing     `billing`: what each statement of a job is billed; a job that would be billed more than its maximumBytesBilled is refused,
                and what it was billed is part of the job ("Estimate and control costs").
    rights      `iam`: who made a dataset, and who was given what (`iam.py`). Each account has a proxy URL of its own,
                `rules.url_of(account)`, which its process gets as BIGQUERY_EMULATOR_HOST.

How a script is placed in time
    The emulator runs a script as a whole; BigQuery runs one statement after the other. So the proxy walks through the script first: it
    takes each statement's place in the queue of its table (a plain mutation) or for the rest of the transaction (a mutation inside one),
    stays there as long as the statement takes, and goes on. At the last statement that changes something it hands the whole script to
    the emulator, with what that statement and its transactions hold still held; then it lets go, and waits for the reads that follow. A
    script that is cancelled on the way was never sent on: nothing of it has happened, but its time is spent. So the order in which
    a script touches tables matters as it does on BigQuery: a table that a transaction mutates last is held for that statement only, but
    must have been left alone since BEGIN.

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
