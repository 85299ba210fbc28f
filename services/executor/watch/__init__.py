"""Watching runs. All watchers of a run in a process share one reader (`watches`). It takes the run's lines from the process that executes
the run: from this one's memory (`led_runs`), or from another executor's over gRPC (`leaders`). A run is read from the tenant's tables
only if no executor leads it, because its executor died or cannot be reached; then it is read less and less often.
"""
