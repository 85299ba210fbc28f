"""The local stand-in for Google's side of federation: Security Token Service, service account credentials, and workload identity pools."""
