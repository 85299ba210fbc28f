"""A run from its start to its end: `prepared` checks it, `start` and `admission` begin it, `active` leads it in this process, `execute`
runs its steps, `leases` keep its reservation alive, and `reconcile` ends what a dead executor left behind.
"""
