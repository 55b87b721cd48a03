"""Which jobs to list, and from where on: what the parameters of a list mean in every interface."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from spark_jobs.api.pages import filters, page_token, read_page_token
from spark_jobs.api.query import Query
from spark_jobs.store.base import JobFilter, JobPage

PAGE_SIZE = 50
FILTERS = ("state", "label", "name", "name_prefix", "id_prefix", "since", "until")
PARAMETERS = (*FILTERS, "page_size", "page_token")


class Listing(NamedTuple):
    """A page that is asked for. ``bound`` are the filters, which its token belongs to."""

    which: JobFilter
    size: int
    after: int | None
    bound: bytes

    def token_after(self, page: JobPage) -> str | None:
        """The token for the page after this one; null at the end."""
        return None if page.next_after is None else page_token(page.next_after, self.bound)


def read_listing(query: Query, now: datetime) -> Listing:
    """The page that these parameters ask for. Raises InvalidSpec, InvalidPageToken."""
    which = JobFilter(
        states=query.states("state"),
        labels=query.labels("label"),
        name=query.text("name"),
        name_prefix=query.text("name_prefix"),
        id_prefix=query.text("id_prefix"),
        since=query.moment("since", now),
        until=query.moment("until", now),
    )
    size = query.whole("page_size") or PAGE_SIZE
    token = query.text("page_token")
    query.done()
    bound = filters(query.pairs)
    return Listing(which, size, None if token is None else read_page_token(token, bound), bound)
