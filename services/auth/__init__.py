"""Authenticates API keys and admits runs within their tenants' quota.

Auth owns tenants, subscriptions, API keys and the quota ledger. The other services send it the SHA-256 of a key, never the key, and cache
the answer for a few seconds. Auth answers from memory while the metadata of the tables, which is free to read, say that nothing has changed
(`key_memory`, `key_digests`); the same spares most reads of the ledger's leases (`lease_memory`).

The ledger is exact. A run reserves under its own id. One UPDATE serves all requests that have arrived: it grants each tenant, in order,
what its limits leave, and appends the granted ids to `live_runs` of the tenant's row for today. Unless every request was granted, the
response is read back from these ids, so reserving twice with the same id reserves once. A run renews its lease while it is active. A
reservation whose lease has expired no longer counts against the limit, but stays listed until its run has been ended and settled. Settling
removes the id from every row that has it (today's row takes over the live runs of yesterday's) and counts the outcome on the day of the
reservation, once.

What a run has cost comes with its settlement, from the executor that executes it, and is added to the day of the reservation, once. The
days of a month are summed wherever a reservation is made, so a tenant's monthly limit in dollars costs no statement. The limit is checked
when a run begins, and the run is given what is left of it. The limit is not exact, because a run's cost is known only at its end.

Runs end one by one and no caller waits for the settlement, so settlements are collected for some seconds. A tenant's own settlements are
flushed when it asks this process for a reservation that the concurrent limit refuses, or reads its quota; settlements of cancelled runs and
of runs that never began are flushed at once.

The view `runnable_tenants` shows the scheduler which tenants may run and how many runs the ledger leaves them. It only avoids refusals;
a reservation alone grants.
"""
