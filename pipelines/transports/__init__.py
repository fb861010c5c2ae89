"""Transports: responses to requests from publishers, recordings, the demo market, and files of the drop folder.

Also the payload archive and the rate limits. Parsers of publishers' responses are in `sources`, storage in `lake`.
"""
