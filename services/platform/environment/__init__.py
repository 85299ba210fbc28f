"""What a process reads from its environment: its settings, what is wrong with them, and the variables that are settings of none."""
