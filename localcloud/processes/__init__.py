"""The child processes of a stack: what they are, how each is started, watched and stopped."""
