"""Google Cloud as a source: which billing export a run reads, its rows, and how they become the columns of a staging table. All knowledge
of GCP's exports is here; the rest of the executor sees only `source`.
"""
