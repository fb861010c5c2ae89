"""The private warehouse and its one writer: dbt in this process, the writer lock, the signal log and the build cache.

Never touches the network or the published folder.
"""
