"""BigQuery on a laptop: `local-bigquery` from PyPI, started without a network, as BigQuery where our pipelines would notice, and cheap."""
