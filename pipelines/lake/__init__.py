"""Bitemporal Parquet under the data folder: validation, vintages, storage and quarantine.

Never opens a DuckDB file and never imports Dagster.
"""
