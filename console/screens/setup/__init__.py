"""Set-up: what a tenant needs for its runs to start by themselves: credentials, schedules, the queue, quota."""
