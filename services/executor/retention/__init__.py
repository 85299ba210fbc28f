"""Deletes the records of runs that ended long ago from all tenants' datasets, where CONVERGENCE_RUN_DAYS or CONVERGENCE_STEP_LOG_DAYS says
so.

Never deleted are costs and what they depend on: the ledgers of days, of exports and of invoices, the watermarks, and the changes of costs,
whose sum is what is published. Nor a run that has not ended, with its logs, however old it is.
"""
