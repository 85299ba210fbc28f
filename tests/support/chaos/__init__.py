"""Chaos: a whole suite of real processes, used at random and broken at random, both from one seed; then everything must hold.

    world       The processes, two of the services that matter, with a `Link` in front of each and a proxy in front of BigQuery.
    links       TCP connections that can be held, slowed down, cut and corrupted.
    statements  A BigQuery that knows which process sends which statement: the place to kill a process between two of them.
    faults      What breaks: each fault begins, lasts, and is healed.
    actions     What tenants and Cloud Scheduler do meanwhile, and what they are answered.
    at_rest     Everything is healed, the jobs fire until they find nothing to do.
    campaign    All of this, and the report; `tests.support.invariants` has what must hold.

`make chaos` runs it (docs/chaos.md); a short one with a fixed seed is in tests/system/outages.
"""
