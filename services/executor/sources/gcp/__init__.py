"""Google Cloud: which billing export a run reads, its rows, and how they become the columns of a staging table. All that knows GCP's
exports is here; `source` is what the rest sees of it.
"""
