"""The console's lists with much in them: see `benchmarks/CONSOLE.md`."""
