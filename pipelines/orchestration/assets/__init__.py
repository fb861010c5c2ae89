"""Assets, their checks and the metadata that the UI shows. Thin: each asset calls one function of another package."""
