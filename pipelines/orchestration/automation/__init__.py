"""Jobs, schedules and sensors, the release schedule and notifications. Nothing here computes an indicator."""
