"""The four services of the suite, and the platform that they share."""
