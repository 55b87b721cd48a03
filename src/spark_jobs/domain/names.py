"""The names that Kubernetes takes, and the rule for a job's id. Messages are the ends of a sentence about the value."""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_FILE_KEY = re.compile(r"[-._a-zA-Z0-9]+")

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
_QUALIFIED_RULE = "must be at most 63 letters, digits, `-`, `_` and `.`, and begin and end with a letter or digit"
RESERVED_DOMAINS = ("kubernetes.io", "k8s.io", "spark-jobs.dev")


def job_id_problem(text: str) -> str | None:
    """Why this can't be a job's id; null if it can: a DNS label, so that it is safe in paths, names and addresses."""
    return dns_label_problem(text)


def dns_label_problem(text: str) -> str | None:
    """Why this is no DNS-1123 label (a namespace, an id); null if it is one."""
    if len(text) > LABEL_LENGTH:
        return f"is {len(text)} characters long; at most {LABEL_LENGTH} are allowed"
    if not _LABEL.fullmatch(text):
        return "must be lower-case letters, digits and `-`, and begin and end with a letter or digit"
    return None


def subdomain_problem(text: str) -> str | None:
    """Why this is no DNS-1123 subdomain (the name of most Kubernetes objects); null if it is one."""
    if len(text) > SUBDOMAIN_LENGTH:
        return f"is {len(text)} characters long; at most {SUBDOMAIN_LENGTH} are allowed"
    if not _SUBDOMAIN.fullmatch(text):
        return "must be lower-case letters, digits, `-` and `.`, and begin and end with a letter or digit"
    return None


def env_name_problem(text: str) -> str | None:
    """Why this can't name an environment variable in every supported Kubernetes; null if it can."""
    if text.startswith("SPARK_JOB_") and text in ("SPARK_JOB_ID", "SPARK_JOB_ATTEMPT"):
        return "is set by Spark in every container; choose another name"
    if not _ENV.fullmatch(text) or text == "." or text.startswith(".."):
        return "must be letters, digits, `_`, `-` and `.`, and not begin with a digit or `..`"
    return None


def file_key_problem(text: str) -> str | None:
    """Why this can't be a key of a secret or config map; null if it can."""
    if len(text) > SUBDOMAIN_LENGTH:
        return f"is {len(text)} characters long; at most {SUBDOMAIN_LENGTH} are allowed"
    if not _FILE_KEY.fullmatch(text) or text == "." or text.startswith(".."):
        return "must be letters, digits, `-`, `_` and `.`"
    return None


def qualified_name_problem(text: str) -> str | None:
    """Why this is no key that Kubernetes takes for labels, node selectors and resources; null if it is one."""
    prefix, slash, name = text.rpartition("/")
    if slash and subdomain_problem(prefix):
        return "must have a DNS name before its `/`"
    if len(name) > LABEL_LENGTH or not _QUALIFIED.fullmatch(name):
        return _QUALIFIED_RULE
    return None


def label_value_problem(text: str) -> str | None:
    """Why Kubernetes would not take this as a label's value; null if it would."""
    if text and (len(text) > LABEL_LENGTH or not _QUALIFIED.fullmatch(text)):
        return _QUALIFIED_RULE
    return None


def is_kubernetes_label(key: str, value: str) -> bool:
    """True for a label that can be put on a Kubernetes object as it is."""
    return qualified_name_problem(key) is None and label_value_problem(value) is None


def reserved_domain(key: str) -> str | None:
    """The reserved domain that a label's prefix belongs to (``app.kubernetes.io/name``: ``kubernetes.io``), or null."""
    prefix, slash, _ = key.partition("/")
    host = f".{prefix.lower()}" if slash else ""
    return next((domain for domain in RESERVED_DOMAINS if host.endswith(f".{domain}")), None)
