"""`python -m convergence.cli`."""

from convergence.cli.entry import run_program

run_program()
