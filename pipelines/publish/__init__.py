"""Publication: the verified release, its manifest, charts, report, differences and exports.

Reads the finished warehouse and the published folder; never the lake or the network.
"""
