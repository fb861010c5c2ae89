"""The `tightness` command: its options, tables, progress and diagnosis.

No other package imports it; orchestration does the work.
"""
