"""What a caller of the whole suite sees: a run alone, many at once, cheap calls under load; and what the processes take for it."""
