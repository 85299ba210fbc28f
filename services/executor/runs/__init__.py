"""The life of a run: `prepared` checks the request, `start` and `admission` begin the run, `active` holds the runs of this process,
`execute` runs the steps, `leases` renews the reservations, and `reconcile` ends the runs of dead executors.
"""
