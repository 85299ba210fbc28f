"""Deletes scheduled runs that ended long ago, where CONVERGENCE_RUN_DAYS says so."""
