"""Evaluation of the signals: samples, statistics and verdicts.

No Dagster and no network. statsmodels and arch are imported where they are used, as they take seconds.
"""
