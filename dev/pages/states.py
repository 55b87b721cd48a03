"""The states of a job: a page of their own, and the diagram inside the page about the architecture."""

from pathlib import Path

from dev.pages.markdown import page, table, with_block
from spark_jobs.domain.state import TABLE, Cause, JobState, mermaid

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = "docs/architecture.md"

# A state or a cause without a line here stops the generator: nothing new goes undocumented.
_STATES: dict[JobState, str] = {
    JobState.QUEUED: "It waits for a slot. Also between two attempts, with the reason `RetryBackoff`.",
    JobState.STARTING: "It has a slot. Its Kubernetes Job is being made, its pod scheduled, its image pulled.",
    JobState.RUNNING: "Its container was seen running.",
    JobState.SUCCEEDED: "The container ended by itself with exit code 0.",
    JobState.FAILED: "It ended in any other way that nobody asked for; `reason` says which.",
    JobState.TIMED_OUT: "The container ran longer than `timeout` and was stopped.",
    JobState.CANCELLED: "Somebody asked for it to be cancelled, and it was.",
}
_CAUSES: dict[Cause, str] = {
    Cause.CLAIMED: "The queue gave the job a slot.",
    Cause.CANCELLED_IN_QUEUE: "It was cancelled before it got a slot; nothing was ever created.",
    Cause.QUEUE_LIMIT: "It waited longer than its `queue_timeout`.",
    Cause.CONTAINER_RUNNING: "The cluster shows its container running.",
    Cause.CONTAINER_ENDED: "The container ended by itself.",
    Cause.NOT_STARTED: "No container ran: the cluster refused it, it could never start, or it took longer than `start_timeout`.",
    Cause.CANCELLED: "A cancel wish was carried out, and the cluster shows that it was.",
    Cause.TIME_LIMIT: "The time limit was carried out, and the cluster shows that it was.",
    Cause.LOST: "Its pod, its objects or its node were taken away: evicted, preempted, deleted, gone.",
    Cause.RETRY: "The attempt failed, and the job asked for another one (`retries`).",
}


def diagram() -> str:
    """The state diagram, as a block of Mermaid."""
    return f"```mermaid\n{mermaid()}\n```\n"


def states_page() -> str:
    """The reference page of states and causes."""
    intro = (
        "A job is in one of seven states. The last four are ends: they never change again. Everything on this page comes\n"
        "from one table in the code; the store checks each change against it and refuses all others."
    )
    names = table(
        ["State", "End", "Meaning"], ([f"`{s}`", "yes" if s.is_terminal else "", _STATES[s]] for s in JobState)
    )
    causes = table(["Cause", "What has happened"], ([cause, _CAUSES[cause]] for cause in Cause))
    rules = table(["From", "Cause", "To"], ([f"`{rule.source}`", rule.cause, f"`{rule.target}`"] for rule in TABLE))
    parts = [
        intro,
        "## States\n\n" + names,
        "## Diagram\n\n" + diagram(),
        "## Causes\n\n" + causes,
        "## Every allowed change\n\n" + rules,
    ]
    following = (
        "- [Reasons](reasons.md): why a job ended as it did, and what to do.\n"
        "- [Architecture](../architecture.md): who decides about these changes, and from what."
    )
    return page("States", "`src/spark_jobs/domain/state.py`", parts, following=following)


def architecture_page() -> str:
    """The page about the architecture, written by hand, with its diagram made anew."""
    path = ROOT / ARCHITECTURE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return with_block(text, "state diagram", diagram())
