"""What a person types: the `tightness` command, its tables and its diagnosis.

Nothing here is called by another package; orchestration does the work.
"""
