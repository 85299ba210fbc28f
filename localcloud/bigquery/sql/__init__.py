"""What the emulator keeps of statements: what they are, the SQL that they become, and the columns of their results."""
