"""Cost exports for tests: rows that others have made, written as the clouds deliver them."""
