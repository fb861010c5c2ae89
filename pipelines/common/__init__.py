"""Settings, paths, version, calendar, file writing and retries: nothing about metals, no import from above."""
