"""Settings, calendar, file writing and retries. Knows nothing above it, and nothing of metals."""
