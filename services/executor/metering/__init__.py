"""What a run costs: counted for each try of each step (`meter`), and held to the run's caps (`cap`) before it reads and while it reads.

Counted are the jobs of its steps (bytes billed to the platform's project, slot time) and what its steps read of the tenant's data (billed
to the tenant's project). Not counted are the statements that begin and end runs, which runs of a tenant share, and the step logs.
Dollars are an estimate at on-demand list prices. `run` makes the meter of a run.
"""
