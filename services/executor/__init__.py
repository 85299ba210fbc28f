"""The executor: runs pipeline templates for tenants and keeps the story of every run in the tenant's own dataset.

The life of a run (`runs/`)
    1. `prepared`   template and parameters are checked, once, into a PreparedRun, which all that follows takes.
       `start`      credentials must be there; `admission`: the ledger grants a slot by the run's id, the run's row is written RUNNING and
                    claimed by this process. Only then is the caller answered.
                    An Idempotency-Key makes the id, so that the same key is the same run (`idempotency`).
    2. `active`     a task leads the run; the ledger hears three times in a lease (`leases`) that it lives. At most a set number work at
                    once, the others wait with their slots.
    3. `execute`    each step once those that it needs have ended: started, done or failed, each a line of x_meta_step_logs. A
                    template's steps are objects of `steps/`.
                    gcp/cost/billing writes, audits, publishes: into a staging table of this run, checks on it, then one transaction.
                    `notify` steps hand over what is to be told of the run, and it goes on (`notify/`).
    4. `active`     RUNNING -> COMPLETED or FAILED by compare-and-set; then the slot is settled with what the row says.

A scheduled run's attempt comes under an id of the scheduler's and takes the same way (`servicers/run`); `start` tells why it starts once.
What fails a run also says, in the run's row (`is_final`), whether another attempt may heal it.

A run's states, and all that moves it from one to another (- is no row; tests/integration/executor/runs/test_chart.py holds the code to it)
    -        ──start─────>  RUNNING      its row is written (`insert_run`)
    -        ──claim─────>  RUNNING      the same under an id of the scheduler's or of an Idempotency-Key (`claim_run`)
    -        ──refuse────>  FAILED       a scheduled attempt cannot begin (`insert_refused_run`)
    RUNNING  ──complete──>  COMPLETED    every step worked
    RUNNING  ──fail──────>  FAILED       a step failed, a time was up, the slot was lost, the executor stopped
    RUNNING  ──cancel────>  CANCELLED    the tenant's wish (`cancel`)
    RUNNING  ──reconcile─>  FAILED       nobody renews its slot: its executor died
    RUNNING  ──outlive───>  FAILED       nobody ended it in time, and it has no slot

Who may end a run is decided by the row alone: the first who finds it RUNNING. A run that ends otherwise than by completing has its
publishing fence closed before its row says so, so it publishes nothing from then on (`steps/publish_script`). If the executor dies, nothing
renews the slot: it expires, and any executor's `reconcile` ends the run FAILED and settles it. Everything between two of these steps may
happen twice, and the second time changes nothing.
"""
