"""Dagster only: definitions, runs and the instance. Nothing here parses a payload or computes an indicator."""
