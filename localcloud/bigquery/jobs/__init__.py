"""What the emulator does with jobs beside running them."""
