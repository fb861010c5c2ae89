"""Cost of a run, and of its SQL compared with a hand-written script: `python -m benchmarks`. Measurement only."""
