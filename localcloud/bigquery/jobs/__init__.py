"""Properties of jobs in the emulator: their location, and the threads that run them."""
