"""What is printed: tables for people, plain text for pipes, JSON for programs."""
