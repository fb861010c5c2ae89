"""Jobs, schedules and sensors, and what they need to decide and to notify. Nothing here computes an indicator."""
