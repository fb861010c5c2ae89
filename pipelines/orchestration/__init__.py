"""Everything that uses Dagster: definitions, runs and the instance. Nothing here parses a payload or computes an
indicator."""
