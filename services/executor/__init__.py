"""The executor: runs pipeline templates and records each run, step and check in the tenant's dataset.

The life of a run (`runs/`)
    1. `prepared`   Template and parameters are checked, once, into a PreparedRun, which all later stages take.
       `start`      Credentials must exist. `admission`: auth reserves quota under the run's id, the run's row is written RUNNING and
                    claimed by this process. Only then does the caller get its response.
                    An Idempotency-Key determines the run's id, so the same key is the same run (`idempotency`).
    2. `active`     A task executes the run; `leases` renews its reservation whenever half of its lease has passed. A limited number of
                    runs execute at once; the others wait and keep their reservations. Tenants take turns (`places`).
    3. `execute`    Each step starts once the steps it needs have ended. Its start and end are rows of x_meta_step_logs, written in the
                    background and before the run's end (`run_lines`). A template's steps are objects of `steps/`.
                    gcp/cost/billing writes, audits, publishes: into a staging table of this run, checks on it, then one transaction.
                    `notify` steps queue a message and do not wait for its delivery (`notify/`).
                    Each try of a step has a meter, which counts what it costs and holds it to the run's caps (`metering/`).
                    If nothing follows a publish (`last_step`), its transaction completes the run.
    4. `active`     Otherwise RUNNING -> COMPLETED or FAILED by compare-and-set, with the run's cost. Then the reservation is settled with
                    the row's status and the cost. If the publish has completed the run, its cost is written while it settles.

An attempt of a scheduled run has an id chosen by the scheduler and takes the same path (`servicers/run`); `start` explains why it starts
only once. The row of a run that FAILED also says whether another attempt may succeed (`is_final`).

A run's states, and every transition between them (- is no row; a test, tests/integration/executor/runs/test_chart.py, holds the code to it)
    -        ──start─────>  RUNNING      its row is written (`insert_run`)
    -        ──claim─────>  RUNNING      the same under a derived id (`claim_run`), or with `overlap: refuse` (`claim_run_exclusively`)
    -        ──refuse────>  FAILED       a scheduled attempt cannot begin (`insert_refused_run`)
    RUNNING  ──complete──>  COMPLETED    every step succeeded (`complete_run`, or the last step's own transaction, `steps/run_end_script`)
    RUNNING  ──fail──────>  FAILED       a step failed, it waited or worked too long, the reservation was lost, the executor stopped
    RUNNING  ──cancel────>  CANCELLED    the tenant cancelled it (`cancel`)
    RUNNING  ──reconcile─>  FAILED       its reservation expired: its executor died
    RUNNING  ──outlive───>  FAILED       it passed its deadline and has no reservation

Only the row decides which process ends a run: the first whose UPDATE finds it RUNNING. Before a run's row says FAILED or CANCELLED, its
publishing fence is closed, so it publishes nothing from then on (`steps/publish_script`). A publish that completes its run changes the
row itself, so either it or another end comes first, never both. If the executor dies, its reservation is not
renewed and expires; then `reconcile` in any executor ends the run as FAILED and settles the reservation. Every statement between two of
these steps may be repeated, and the repetition changes nothing.
"""
