"""Google's side of access without keys, on a laptop: Security Token Service, service account credentials, and the pools they check."""
