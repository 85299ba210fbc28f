"""Schedules, the run queue and the three jobs of Cloud Scheduler.

A run stands in two tables: `scheduled_pipeline_runs` keeps it for ever, `pipeline_execution_queue` as long as there is something to do.
The jobs may be delivered twice and at once, to any number of processes; each of the four may die at any line. What holds it together:

Once queued. A run's id is made from its schedule and slot. The trigger moves the schedule's `next_run_time` on by compare-and-set and, in
the same transaction, inserts what is not there yet. Two triggers change the same row, so BigQuery cancels one, and its second try finds
nothing to do.

The lease protocol.
    1. A claim is an opaque id, the fence. One UPDATE writes it on the best QUEUED rows, with a lease. What reads back under it is ours.
    2. An attempt's `pipeline_logging_id` is made from the run and the number of its failures. Starting it is idempotent: the executor
       answers a second StartRun with the run as it stands.
    3. The process that holds claims asks the executor every few seconds how their runs stand, and renews all leases in one statement,
       three times in a lease.
    4. Everything that is written about a claimed run names the claim in its WHERE. Zero rows: the claim is lost, and nothing is written.
    5. When a lease has run out, any scheduler takes the row over by writing a claim of its own: on every process-queue tick, when it
       starts, and once a lease. That decides nothing. Then it does what any holder does: ask for the run's own record. Ended: settle.
       Running: follow. No such run: start it, under the same id. An executor that died is the executor's own to find (ReconcileRuns): its
       runs end FAILED.
    6. A holder that comes back after that finds its claim gone (4), and has started no other run than its successor (2).
    7. An end is written in steps: the schedule, the run, and the queue row last. What broke off in between is done again, by the holder or
       its successor, and comes to the same: failures are counted by the number of the attempt.

So a run is not lost, whoever dies, and no two attempts of it are ever under way at once. Who stops in order lets its leases run out now.

The chart. A place is the run's state and the queue row's; `-` is no row. Every change of place is an edge here, and a test walks them all.
    -, -                  ──trigger──>    PENDING, QUEUED
    PENDING, QUEUED       ──claim──>      PENDING, PROCESSING    unless its schedule is paused: then it waits
    FAILED, QUEUED        ──claim──>      FAILED, PROCESSING
    PENDING, PROCESSING   ──refuse──>     PENDING, QUEUED        no quota, no executor: unharmed
    FAILED, PROCESSING    ──refuse──>     FAILED, QUEUED
    PENDING, PROCESSING   ──complete──>   COMPLETED, -
    FAILED, PROCESSING    ──complete──>   COMPLETED, -
    PENDING, PROCESSING   ──fail──>       FAILED, QUEUED         retry_count + 1, priority - 1, after a while
    FAILED, PROCESSING    ──fail──>       FAILED, QUEUED
    PENDING, PROCESSING   ──give up──>    FAILED, -              retry_count + 1; the last retry, or nothing would heal it
    FAILED, PROCESSING    ──give up──>    FAILED, -
    PENDING, QUEUED       ──delete──>     FAILED, -              its schedule was taken away
    FAILED, QUEUED        ──delete──>     FAILED, -
    FAILED, -             ──retry──>      PENDING, QUEUED        somebody asks for it
Renewing and taking over change the holder, never the place.
"""
