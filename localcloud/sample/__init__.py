"""The sample tenant: synthetic billing exports in a project of its own, the same for the same day every time."""
