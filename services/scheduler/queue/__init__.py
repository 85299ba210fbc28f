"""The queue: `trigger` fills it with what is due, `processor` claims from it, `claim_watcher` follows the claimed runs to their end, and
`store` is the only module with SQL. The decisions (`trigger_plan`, `claims`, `outcomes`, `position`) are pure.
"""
