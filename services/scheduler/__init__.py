"""Schedules, the run queue, and two of the four jobs of Cloud Scheduler (auth has reset-daily-quotas, the executor check-credentials).

A scheduled run has a row in `scheduled_pipeline_runs`, and one in `pipeline_execution_queue` until it has ended. The jobs of Cloud
Scheduler may be delivered twice and concurrently, to any number of processes, and a process may die at any line. The rules:

Queued once. A run's id is derived from its schedule and fire time. In one transaction, the trigger advances the schedule's `next_run_time`
by compare-and-set and inserts the runs that do not exist yet. Two triggers change the same row, so BigQuery cancels one of them; its retry
finds nothing to do.

The lease protocol.
    1. A claim is an opaque id, the fence. One UPDATE writes it, with a lease, on the best QUEUED rows. It then selects the rows that carry
       this id; those are claimed.
    2. An attempt's `pipeline_logging_id` is derived from the run and the number of its failures. Starting it is idempotent: the executor
       answers a second StartRun with the state of the run.
    3. The process that holds claims polls the executor every few seconds for the states of their runs. It renews all leases in one
       statement, three times in a lease.
    4. Every write about a claimed run names the claim in its WHERE. If it changes no row, the claim is lost, and nothing was written.
    5. When a lease has expired, any scheduler takes the row over by writing a claim of its own: on every process-queue call, when it
       starts, and once in every lease while it knows of claims, else once in five. Taking over decides nothing. The new holder asks for
       the run's state, as any holder does. If the run has ended, settle it; if it runs, poll it; if it is unknown, start it under the same
       id. Runs of a dead executor are ended by the executors themselves (ReconcileRuns), as FAILED.
    6. A holder may come back after that. Its writes change nothing (4), and any run it started has the id its successor uses (2).
    7. The end of a run is written in steps: the schedule, the run, and the queue row last. If this breaks off, the holder or its successor
       repeats it with the same result: `retry_count` is set to the attempt's number, not incremented.

So no run is lost when a process dies, and no two attempts of a run are active at the same time. A process that stops normally ends its
leases at once.

The chart. A state is the run's state and the queue row's; `-` is no row. Every transition is an edge here, and a test walks them all.
    -, -                  ──trigger──>    PENDING, QUEUED
    -, -                  ──backfill──>   PENDING, QUEUED        below all other runs
    PENDING, QUEUED       ──claim──>      PENDING, PROCESSING    unless its schedule is paused: then it waits
    FAILED, QUEUED        ──claim──>      FAILED, PROCESSING
    PENDING, PROCESSING   ──refuse──>     PENDING, QUEUED        no quota, no executor: not counted as a failure
    FAILED, PROCESSING    ──refuse──>     FAILED, QUEUED
    PENDING, PROCESSING   ──complete──>   COMPLETED, -
    FAILED, PROCESSING    ──complete──>   COMPLETED, -
    PENDING, PROCESSING   ──fail──>       FAILED, QUEUED         retry_count + 1, priority - 1, after a while
    FAILED, PROCESSING    ──fail──>       FAILED, QUEUED
    PENDING, PROCESSING   ──give up──>    FAILED, -              retry_count + 1; the last retry, or a final error
    FAILED, PROCESSING    ──give up──>    FAILED, -
    PENDING, QUEUED       ──delete──>     FAILED, -              its schedule was deleted
    FAILED, QUEUED        ──delete──>     FAILED, -
    PENDING, QUEUED       ──offboard──>   FAILED, -              its tenant was offboarded; claims are taken over and end as above
    FAILED, QUEUED        ──offboard──>   FAILED, -
    FAILED, -             ──retry──>      PENDING, QUEUED        the tenant calls :retry
Renewing and taking over change the holder, never the state.
"""
