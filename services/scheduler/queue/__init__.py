"""The queue: `trigger` adds the runs that are due, `processor` claims them, `claim_watcher` follows claimed runs to their end, and `store`
is the only module with SQL. The decisions (`trigger_plan`, `claims`, `outcomes`, `position`) are pure.
"""
