"""The README's pictures of the console."""
