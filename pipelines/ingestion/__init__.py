"""Ingestion: plan and fetch requests, inspect responses, load archived payloads into the lake.

Calls sources, transports and the lake; never Dagster, and never a DuckDB file.
"""
