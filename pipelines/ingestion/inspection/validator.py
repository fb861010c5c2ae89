"""Decision on responses: accepted into the archive, or refused into quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from pipelines.ingestion.inspection.checks import Finding, check_absence, inspect
from pipelines.ingestion.inspection.response import ParsedResponse, archived_responses, group_by_capture
from pipelines.ingestion.rewrites import compare
from pipelines.lake.quarantine import Quarantine
from pipelines.sources.base import Payload, Request, Scope, Series, SourceError
from pipelines.transports.archive import Archive
from pipelines.transports.receipts import Receipt
from schemas.datasets import DATASETS
from schemas.fields import RESTATED

ACCEPT: Final = "TIGHTNESS_ACCEPT"  # setting that accepts refused responses by their SHA-256
PREFIX: Final = 12  # hex digits by which it names a response
SHOWN: Final = 3  # findings in a message


@dataclass
class Verdict:
    """Outcome for the responses to one request: accepted payloads, oldest first, and messages of one line each."""

    accepted: list[Payload] = field(default_factory=list)
    warning: str = ""  # problems of the newest accepted response
    refusal: str = ""  # why the newest response, or some series of it, is refused; empty when it is accepted whole
    # Whether earlier periods of the series may be rewritten too: the first days of the previous response are, or, for
    # values that are restated as a rule, there is no previous response to compare with.
    reaches_back: bool = False


@dataclass
class ResponseValidator:
    """Validates a source's responses in turn: each accepted one is the previous period of the next of its entity.

    `accepted`: prefixes of the SHA-256 of responses that are accepted whatever their findings, when they are readable.
    """

    scope: Scope
    archive: Archive
    quarantine: Quarantine | None
    accepted: tuple[str, ...] = ()
    _previous_period: dict[str, ParsedResponse] = field(default_factory=dict)

    def triage(self, request: Request, payloads: Sequence[Payload]) -> Verdict:
        """Accept or refuse each response among the payloads of a request (oldest first)."""
        verdict = Verdict()
        previous: ParsedResponse | None = None
        # Series that an earlier inspection refused stay refused until another response comes or the user accepts them.
        for parts in group_by_capture([replace(one, refused=()) for one in payloads]):
            verdict.refusal = ""
            response, receipt = ParsedResponse(parts, self.scope), self.archive.receipt(request.source, request.name)
            if (refused := _refused_before(parts, receipt)) and not self._is_accepted(response):
                texts = self.quarantine.findings(parts[0]) if self.quarantine else []
                errors = [Finding("error", text) for text in texts]
                verdict.refusal = self._refuse(response, errors, errors, refused)
                parts = [replace(one, refused=refused) for one in parts]
                response = ParsedResponse(parts, self.scope)
            elif refused or not _is_archived(parts, receipt):
                if previous is None:
                    previous = self._archived_response(request)
                found = self._inspect(response, previous)
                if _errors(found) and not self._is_accepted(response):
                    # A page that contains its time of creation differs each time: compare it with the response that
                    # the user accepted, which is in quarantine.
                    if released := self._accepted_since(previous, request):
                        verdict.accepted += released
                        previous = ParsedResponse(released, self.scope)
                        found = self._inspect(response, previous)
                    if errors := _errors(found):
                        refused = _refused_series(response, errors)
                        verdict.refusal = self._refuse(response, errors, found, refused)
                        if not refused:
                            continue
                        parts = [replace(one, refused=refused) for one in parts]
                        response, found = ParsedResponse(parts, self.scope), []
                if found:
                    verdict.warning = f"{'accepted although ' if _errors(found) else ''}{_summary(found)}"
                verdict.reaches_back |= _reaches_back(response, previous)
            verdict.accepted += parts
            previous = self._previous_period[request.entity] = response
        return verdict

    def triage_absence(self, request: Request, reason: str, now: datetime) -> Verdict:
        """Refuse the statement that a publisher has no data where it had some before; warn where it should have some.

        `reason`: the statement, with source and request.
        """
        found = check_absence(request, self._archived_response(request), now)
        if errors := _errors(found):
            return Verdict(refusal=f"{reason}; {_summary(errors)} (stored data is unchanged)")
        return Verdict(warning=f"{reason}; {_summary(found)}" if found else "")

    def _archived_response(self, request: Request) -> ParsedResponse | None:
        """The last accepted response; series that are refused in it as they were in the last response that has them."""
        responses = archived_responses(request, self.archive)
        try:
            parts = next(responses, [])
            missing = {series for one in parts for series in one.refused}
            while missing and (older := next(responses, [])):
                there = {series for _, series, _ in ParsedResponse(older, self.scope).series}
                if found := there & missing:
                    parts += [replace(one, refused=(*one.refused, *sorted(there - found))) for one in older]
                    missing -= found
        except SourceError:
            return None
        if not parts:
            return None
        return ParsedResponse(parts, self.scope)

    def _inspect(self, response: ParsedResponse, previous: ParsedResponse | None) -> list[Finding]:
        if previous is not None:
            found = inspect(response, previous)
        else:
            found = inspect(response, self._previous_period.get(response.request.entity), same_request=False)
        if response.is_empty and not found:
            found = check_absence(response.request, None, response.payloads[0].captured_at)
        return found

    def _is_accepted(self, response: ParsedResponse) -> bool:
        """Whether the user accepts this response. One that cannot be parsed stays refused."""
        named = bool(self.accepted) and all(one.sha256.startswith(self.accepted) for one in response.payloads)
        return named and response.error is None

    def _accepted_since(self, previous: ParsedResponse | None, request: Request) -> list[Payload]:
        """The newest accepted response in quarantine that was captured after the last one in the archive."""
        if not self.accepted or self.quarantine is None:
            return []
        kept = self.quarantine.refused(request, self.accepted)
        last = max((one.captured_at for one in previous.payloads), default=None) if previous else None
        later = [one for one in kept if last is None or one.captured_at > last]
        return [one for one in later if self._is_accepted(ParsedResponse([one], self.scope))][-1:]

    def _refuse(
        self, response: ParsedResponse, errors: Sequence[Finding], found: Sequence[Finding], series: Sequence[Series]
    ) -> str:
        """Put a response into quarantine; `series`: only these of it are refused. Returns the failure's message."""
        request, parts = response.request, response.payloads
        hint = f"{ACCEPT}={','.join(one.sha256[:PREFIX] for one in parts)}" if response.error is None else ""
        texts = [finding.text for finding in found]
        kept = [self.quarantine.put_payload(one, texts, hint) for one in parts] if self.quarantine else []
        where = f"; kept as quarantine/{kept[0]}" if kept else ""
        how = f"; if it is right: {hint}" if hint else ""
        what = f"only {', '.join(' '.join(one) for one in series)} refused, the rest is stored"
        what = what if series else "refused, stored data is unchanged"
        return f"{request.source} {request.name}: {_summary(errors)} ({what}{where}{how})"


def _refused_series(response: ParsedResponse, errors: Sequence[Finding]) -> tuple[Series, ...]:
    """The series that the errors concern; empty where they concern the whole response, or most of its series."""
    refused = {finding.series for finding in errors if finding.series}
    others = {series for _, series, _ in response.series} - refused
    if len(others) < len(refused) or any(not finding.series for finding in errors):
        return ()
    return tuple(sorted(refused))


def _refused_before(parts: Sequence[Payload], receipt: Receipt | None) -> tuple[Series, ...]:
    """Series that are refused in the archived capture of the same bytes."""
    known = {one.sha256 for one in parts}
    captures = receipt.captures if receipt else ()
    return next((capture.refused for capture in reversed(captures) if capture.sha256 in known), ())


def _is_archived(parts: Sequence[Payload], receipt: Receipt | None) -> bool:
    """Whether a response was inspected before: it repeats the newest capture or, in a recording, an older capture of
    the same time. Older bytes at a new time, from a cache on the way, were not."""
    captures = receipt.captures if receipt else ()
    newest = {capture.sha256 for capture in captures if capture.captured_at == captures[-1].captured_at}
    known = {(capture.sha256, datetime.fromisoformat(capture.captured_at)) for capture in captures}
    return all(one.sha256 in newest or (one.sha256, one.captured_at) in known for one in parts)


def _reaches_back(response: ParsedResponse, previous: ParsedResponse | None) -> bool:
    if previous is None:
        return any(not RESTATED.isdisjoint(rows.columns) for rows in response.frames.values())
    both = [
        compare(DATASETS[name], rows, previous.frames[name])
        for name, rows in response.frames.items()
        if name in previous.frames
    ]
    return any((rows["differs"] & rows["is_first"]).any() for rows in both)


def _errors(found: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity == "error"]


def _summary(found: Sequence[Finding]) -> str:
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(finding.text for finding in found[:SHOWN]) + more
