"""Dagster only: assets, their checks and what the UI shows of them. Nothing here parses or computes an indicator."""
