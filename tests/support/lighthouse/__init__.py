"""What Lighthouse thinks of the console's screens."""
