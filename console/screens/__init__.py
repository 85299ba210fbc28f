"""One package for each screen."""
