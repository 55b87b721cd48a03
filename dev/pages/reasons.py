"""The reference page of reasons."""

from dev.pages.markdown import page, table
from spark_jobs.domain.reasons import HINTS, HINTS_BY_WORDS, NEVER_RETRIED, Reason, is_programs_own


def _kind(reason: Reason) -> str:
    if reason in NEVER_RETRIED:
        return ""
    return "the program's" if is_programs_own(reason) else "the cluster's"


def reasons_page() -> str:
    """Every reason with its hint."""
    intro = (
        "`reason` is one stable word for why a job ended, or for what it waits now. Programs may compare it; new words may\n"
        "be added. It is null for `SUCCEEDED`. Where Kubernetes has a word for it, it is that word. `message` holds the\n"
        "cluster's own sentence, `hint` the advice of this page. `spark describe JOB` shows all three.\n\n"
        "`retry_on` of a job takes these words, and `exit:N` for an exit code. `retries` counts failures of the program\n"
        "itself and those of the cluster apart: each kind is tried again that often."
    )
    rows = table(
        ["Reason", "Counts as", "What it means and what to do"],
        ([f"`{reason}`", _kind(reason), HINTS[reason]] for reason in Reason),
    )
    by_words = "Where the message holds one of these, the advice is another one:\n\n" + table(
        ["Reason", "Words", "What to do"],
        (
            [f"`{reason}`", ", ".join(f"`{words}`" for words in special.words), special.advice]
            for reason, specials in HINTS_BY_WORDS.items()
            for special in specials
        ),
    )
    following = (
        "- [Logs and exit codes](../guides/logs-and-exit-codes.md): what `exit_code` and the log tell in each case.\n"
        "- [Kubeconfig and permissions](../guides/kubeconfig-and-permissions.md): for `Forbidden` and its neighbours.\n"
        "- [States](states.md): the other half of the answer."
    )
    return page("Reasons", "`src/spark_jobs/domain/reasons.py`", [intro, rows, by_words], following=following)
