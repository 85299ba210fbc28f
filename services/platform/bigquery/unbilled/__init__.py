"""What BigQuery says without a charge."""
