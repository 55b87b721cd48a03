"""The address of a sink, as a user writes it. Needs no package of any sink."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

_EXAMPLES = "write file:///archive/spark or s3://bucket/prefix"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9_.=-]+")


class FolderAddress(msgspec.Struct, frozen=True):
    """A folder of this machine."""

    path: Path

    @property
    def url(self) -> str:
        """As it is written."""
        return f"file://{quote(str(self.path))}"


class BucketAddress(msgspec.Struct, frozen=True):
    """A bucket of an S3-compatible object store; ``prefix`` is empty or ends without a slash."""

    bucket: str
    prefix: str = ""

    @property
    def url(self) -> str:
        """As it is written."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


SinkAddress = FolderAddress | BucketAddress


def parse_address(text: str) -> SinkAddress:
    """The address that a URL means.

    Raises:
        ValueError: it is none; the message says what to write, and does not repeat what may be a secret.
    """
    url = urlsplit(text)
    if "@" in url.netloc:
        raise ValueError("credentials do not belong in the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if url.query or url.fragment:
        raise ValueError(f"there is nothing to say after ? or # here; {_EXAMPLES}")
    if url.scheme == "file":
        return _folder(url)
    if url.scheme == "s3":
        return _bucket(url)
    raise ValueError(_EXAMPLES)


def _folder(url: SplitResult) -> FolderAddress:
    path = unquote(url.path)
    if url.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise ValueError("a folder has three slashes and the whole path: file:///archive/spark")
    if ".." in Path(path).parts:
        raise ValueError("write the folder's path without `..`")
    return FolderAddress(Path(path))


def _bucket(url: SplitResult) -> BucketAddress:
    if not _BUCKET.fullmatch(url.netloc):
        raise ValueError(f"this names no bucket; {_EXAMPLES}")
    segments = url.path.strip("/").split("/") if url.path.strip("/") else []
    if not all(_SEGMENT.fullmatch(segment) and segment.strip(".") for segment in segments):
        raise ValueError("a prefix is made of letters, digits and _ . = -, with single slashes between")
    return BucketAddress(url.netloc, "/".join(segments))
