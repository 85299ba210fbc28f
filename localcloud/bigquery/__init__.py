"""BigQuery on a laptop: `local-bigquery` from PyPI, made to start without a network, to behave like BigQuery where our pipelines depend on
it, and to use little CPU.
"""
