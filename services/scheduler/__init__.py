"""Schedules, the run queue and the three jobs of Cloud Scheduler.

Not built yet: the service is up, healthy and refuses everything. It holds its place in the suite (port, certificate, gateway route), so
that what is added later changes nothing around it.
"""
