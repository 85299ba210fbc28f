"""Chaos: a whole suite of real processes gets random calls and random faults, both from one seed. Afterwards all invariants must hold.

    world       The processes, two of the services that matter, with a `Link` in front of each and a proxy in front of BigQuery.
    links       TCP connections that can be held, slowed down, cut and corrupted.
    statements  A BigQuery that knows which process sends which statement, to kill a process between two of them.
    faults      What breaks: each fault begins, lasts, and is healed.
    actions     The calls of tenants and Cloud Scheduler meanwhile, and their answers.
    at_rest     Everything is healed, the jobs fire until they find nothing to do.
    campaign    All of this, and the report; `tests.support.invariants` has the invariants.

`make chaos` runs it (docs/chaos.md); a short one with a fixed seed is in tests/system/outages.
"""
