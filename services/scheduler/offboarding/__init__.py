"""The end of a tenant, in all services. docs/tenants.md describes it for operators.

Every step may be repeated, and no step undoes another. So an interrupted call is repeated as a whole (`process`). What makes the end final:
    1. auth closes the tenant first: its keys are unknown and the ledger admits no more runs of it.
       After that its runs, schedules and credentials can only become fewer.
    2. A call that began before that may still write. The statements that insert look at the view `offboarded_tenants` after they have
       inserted. If the tenant is closed by then, the call takes back what it wrote; if it is not, the insertion came before the closing,
       and so before every statement here, which finds it.
    3. A run is active while the ledger has its reservation. No new one is granted, so once there is none, nothing runs, and the publishing
       fences of all runs that were cancelled are closed.
    4. The tenant's claims in the queue are taken over, as those of a dead scheduler are: their old holder can no longer requeue a run.
"""
