"""Decision on responses: accepted into the archive, or refused into quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pipelines.ingestion.inspection.checks import Finding, check_absence, inspect
from pipelines.ingestion.inspection.response import ParsedResponse, group_by_capture, newest_response
from pipelines.lake.quarantine import Quarantine
from pipelines.sources.base import Payload, Request, Scope
from pipelines.transports.archive import Archive, Receipt

ACCEPT: Final = "TIGHTNESS_ACCEPT"  # setting that accepts refused responses by their SHA-256
PREFIX: Final = 12  # hex digits by which it names a response
SHOWN: Final = 3  # findings in a message


@dataclass
class Verdict:
    """Outcome for the responses to one request: accepted payloads, oldest first, and messages of one line each."""

    accepted: list[Payload] = field(default_factory=list)
    warning: str = ""  # problems of the newest accepted response
    refusal: str = ""  # why the newest response is refused; empty when it is accepted


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
        for parts in group_by_capture(payloads):
            verdict.refusal = ""
            response = ParsedResponse(parts, self.scope)
            if not _is_archived(parts, self.archive.receipt(request.source, request.name)):
                if previous is None and (archived := newest_response(request, self.archive)):
                    previous = ParsedResponse(archived, self.scope)
                found = self._inspect(response, previous)
                if _errors(found) and not self._is_accepted(response):
                    # A page that contains its time of creation differs each time: compare it with the response that
                    # the user accepted, which is in quarantine.
                    if released := self._accepted_since(previous, request):
                        verdict.accepted += released
                        previous = ParsedResponse(released, self.scope)
                        found = self._inspect(response, previous)
                    if errors := _errors(found):
                        verdict.refusal = self._refuse(response, errors, found)
                        continue
                if found:
                    verdict.warning = f"{'accepted although ' if _errors(found) else ''}{_summary(found)}"
            verdict.accepted += parts
            previous = self._previous_period[request.entity] = response
        return verdict

    def triage_absence(self, request: Request, reason: str, now: datetime) -> Verdict:
        """Refuse the statement that a publisher has no data where it had some before; warn where it should have some.

        `reason`: the statement, with source and request.
        """
        archived = newest_response(request, self.archive)
        found = check_absence(request, ParsedResponse(archived, self.scope) if archived else None, now)
        if errors := _errors(found):
            return Verdict(refusal=f"{reason}; {_summary(errors)} (stored data is unchanged)")
        return Verdict(warning=f"{reason}; {_summary(found)}" if found else "")

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
        later = [one for one in kept if previous is None or one.captured_at > previous.payloads[-1].captured_at]
        return [one for one in later if self._is_accepted(ParsedResponse([one], self.scope))][-1:]

    def _refuse(self, response: ParsedResponse, errors: Sequence[Finding], found: Sequence[Finding]) -> str:
        """Put a response into quarantine. Returns the message of the failure."""
        request, parts = response.request, response.payloads
        hint = f"{ACCEPT}={','.join(one.sha256[:PREFIX] for one in parts)}" if response.error is None else ""
        texts = [finding.text for finding in found]
        kept = [self.quarantine.put_payload(one, texts, hint) for one in parts] if self.quarantine else []
        where = f"; kept as quarantine/{kept[0]}" if kept else ""
        how = f"; if it is right: {hint}" if hint else ""
        return f"{request.source} {request.name}: {_summary(errors)} (refused, stored data is unchanged{where}{how})"


def _is_archived(parts: Sequence[Payload], receipt: Receipt | None) -> bool:
    """Whether a response was inspected before: it repeats the newest capture or, in a recording, an older capture of
    the same time. Older bytes at a new time, from a cache on the way, were not."""
    captures = receipt.captures if receipt else ()
    newest = {capture.sha256 for capture in captures if capture.captured_at == captures[-1].captured_at}
    known = {(capture.sha256, datetime.fromisoformat(capture.captured_at)) for capture in captures}
    return all(one.sha256 in newest or (one.sha256, one.captured_at) in known for one in parts)


def _errors(found: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity == "error"]


def _summary(found: Sequence[Finding]) -> str:
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(finding.text for finding in found[:SHOWN]) + more
