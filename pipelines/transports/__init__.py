"""Who answers a request: HTTP, recordings, the drop folder or the demo market. No transport knows a schema."""
