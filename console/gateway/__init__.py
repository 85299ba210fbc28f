"""The REST API: calls with a session's credential, errors with what to do about them, and the events of a run."""
