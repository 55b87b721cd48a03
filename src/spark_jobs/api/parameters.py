"""The parameters of queries and headers, as the description of the interface shows them."""

from __future__ import annotations

from typing import Any, NamedTuple

from spark_jobs.api.query import BOUNDS, LARGEST
from spark_jobs.domain.state import JobState
from spark_jobs.search.pattern import LONGEST_PATTERN

_TEXT = {"type": "string", "maxLength": 1024}
_COUNT = {"type": "integer", "minimum": 0, "maximum": LARGEST}
_FLAG = {"type": "boolean", "default": False}
_MOMENT = "An RFC 3339 time, or a duration such as `30m` or `2d` for that long ago."
_STATE_WORDS = [*JobState, "active", "finished"]


class Parameter(NamedTuple):
    """Its schema and what it means."""

    schema: dict[str, Any]
    description: str
    required: bool = False


def _whole(name: str) -> dict[str, Any]:
    lowest, highest = BOUNDS[name]
    return {"type": "integer", "minimum": lowest, "maximum": highest}


QUERY: dict[str, Parameter] = {
    "state": Parameter(
        {"type": "array", "items": {"type": "string", "enum": _STATE_WORDS}},
        "Jobs in one of these states; repeat it, or use commas.",
    ),
    "label": Parameter(
        {"type": "array", "items": {"type": "string"}},
        "Jobs with this label: `key=value`, or `key` for any value; of several, all must hold.",
    ),
    "name": Parameter(_TEXT, "Jobs of exactly this name."),
    "name_prefix": Parameter(_TEXT, "Jobs whose name begins so."),
    "id_prefix": Parameter(_TEXT, "Jobs whose id begins so."),
    "since": Parameter(_TEXT, f"Not before this time. {_MOMENT}"),
    "until": Parameter(_TEXT, f"Not after this time. {_MOMENT}"),
    "page_size": Parameter({**_whole("page_size"), "default": 50}, "Jobs on one page."),
    "page_token": Parameter(_TEXT, "`next_page_token` of the page before, sent with the same filters."),
    "wait": Parameter(_TEXT, "How long to wait for the end of the job: seconds, or such as `30s` or `5m`."),
    "attempt": Parameter(_whole("attempt"), "Which attempt's log; by default the latest."),
    "all_attempts": Parameter(_FLAG, "All attempts' logs, one after the other; `tail` and `since` are of each."),
    "download": Parameter(_FLAG, "Ask browsers to save the text in a file, `ID-ATTEMPT.log`."),
    "follow": Parameter(_FLAG, "Go on through later attempts until the job is over."),
    "offset": Parameter(_COUNT, "Begin at this byte of the attempt's log."),
    "tail": Parameter(_COUNT, "The last so many lines."),
    "timestamps": Parameter(_FLAG, "Put each line's time before it."),
    "pattern": Parameter(
        {"type": "string", "maxLength": LONGEST_PATTERN},
        "A regular expression in the syntax of RE2, or plain text with `fixed`; it matches within a line.",
        required=True,
    ),
    "fixed": Parameter(_FLAG, "The pattern is plain text."),
    "ignore_case": Parameter(_FLAG, "Upper and lower case are the same."),
    "context": Parameter({**_whole("context"), "default": 0}, "Lines before and after each match."),
    "job": Parameter(_TEXT, "Logs of this job alone, by its id."),
    "limit": Parameter({**_whole("limit"), "default": 1000}, "End after so many matches."),
    "after": Parameter(_COUNT, "Events after this sequence number; by default from now on."),
}

HEADERS: dict[str, Parameter] = {
    "Idempotency-Key": Parameter(
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        "Chosen by the caller; a repeat with the same key and body starts nothing new.",
    ),
    "Range": Parameter(
        {"type": "string"}, "Of an attempt's whole log as text that is not followed: one range such as `bytes=1000-`."
    ),
    "If-Range": Parameter({"type": "string"}, "The `ETag` that the range belongs to; if it has changed, all is sent."),
    "Last-Event-ID": Parameter(
        {"type": "string"}, "The `id` of the last event received: the stream goes on after it (browsers send this)."
    ),
}
