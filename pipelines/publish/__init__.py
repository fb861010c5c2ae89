"""The one way out: the verified release, its manifest, plots, report, differences and exports.

Reads the finished warehouse and the published folder; never the lake or the network.
"""
