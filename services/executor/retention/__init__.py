"""Deletes the records of runs that ended long ago from all tenants' datasets, where CONVERGENCE_RUN_DAYS or CONVERGENCE_STEP_LOG_DAYS says
so.

It never deletes costs and what they depend on: the ledgers of days, of exports and of invoices, the watermarks, and the changes of costs,
whose sum is the published cost. It never deletes a run that has not ended, or its logs, however old they are.
"""
