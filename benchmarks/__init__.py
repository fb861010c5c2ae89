"""What a run costs, and how near its SQL comes to a script written by hand: `python -m benchmarks`."""
