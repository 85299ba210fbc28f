"""Who are you, and may you run now?

Auth owns the tenants, their subscriptions, their API keys and the quota ledger. Services ask it with the SHA-256 of a key, never with the
key, and remember the answer for a few seconds.

The ledger is a gate, not a counter. A run asks for a slot by its own id; one UPDATE for everybody who asked meanwhile grants each tenant,
in order, what its limits leave, and appends the ids to `live_runs` of the tenant's row for today. The ids that are read back are the
answer, so asking twice with the same id grants once. A run renews its lease while it lives; a slot whose lease ran out no longer counts
against the limit, and stays listed until somebody has failed its run and settled it. Settling takes the id out of every row that holds it
(today's row inherits the live runs of yesterday's) and counts the outcome on the day of the reservation, once.

Ends of runs come one by one and nobody waits for them, so settlements gather for some seconds. A tenant that asks this process for a slot
that it lacks, or looks at its quota, makes its own go first; so does what is cancelled or never began.

The view `runnable_tenants` tells the scheduler who may run and what the ledger leaves them. It is a hint that spares refusals; only a
reservation grants.
"""
