"""Tables that are derived from a table while it is being published: from the rows that it is about to hold, in the same transaction."""
