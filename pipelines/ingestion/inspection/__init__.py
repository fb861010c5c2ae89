"""Inspection of responses before they are archived: is this what was requested?

A response is checked against its source's `ResponseContract` and the previous accepted response. Rules about single
rows do not belong here: parsers and schemas send those rows to quarantine.
"""

from pipelines.ingestion.inspection.checks import Finding, inspect
from pipelines.ingestion.inspection.response import ParsedResponse, newest_response, parse
from pipelines.ingestion.inspection.validator import ResponseValidator, Verdict

__all__ = ["Finding", "ParsedResponse", "ResponseValidator", "Verdict", "inspect", "newest_response", "parse"]
