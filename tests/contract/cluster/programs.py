"""What the suite runs: a command for clusters with processes, and the script that makes the fake do the same."""

from __future__ import annotations

import msgspec

from spark_jobs.cluster.fake import Script
from spark_jobs.domain.spec import JobSpec


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A shell line, or else ``command``; and the same for the fake."""

    shell: str = ""
    command: tuple[str, ...] = ()
    script: Script

    @property
    def argv(self) -> list[str]:
        """What is run."""
        return list(self.command) or ["sh", "-c", self.shell]

    def spec(self) -> JobSpec:
        """A job that runs it, and gets one second to end when asked to."""
        return JobSpec(
            image="busybox:1",
            command=self.argv,
            env={"GREETING": "a $(b) $$ c"},
            termination_grace=1.0,
            image_pull_policy="IfNotPresent",
        )


SUCCEEDS = Program(command=("true",), script=Script())
EXITS_WITH_7 = Program(shell="echo out; echo err >&2; exit 7", script=Script(lines=("out", "err"), exit_code=7))
KILLS_ITSELF = Program(shell="kill -9 $$", script=Script(exit_code=137))
LEAVES_A_RESULT = Program(
    shell='printf 42 > "${SPARK_TERMINATION_LOG:-/dev/termination-log}"', script=Script(result="42")
)
CANNOT_START = Program(command=("/no/such/program",), script=Script(start_error="/no/such/program: not found"))
PRINTS_MANY = Program(command=("seq", "10000"), script=Script(lines=tuple(str(number) for number in range(1, 10001))))
PRINTS_A_PIECE = Program(shell="echo whole; printf piece", script=Script(lines=("whole",), unfinished="piece"))
PRINTS_ODD_BYTES = Program(
    shell=r"printf '1%%\r20%%\r100%%\n\n\n\303\244\n\000x\000\n\377\376 \303\n\033[1m \n'",
    script=Script(lines=("1%\r20%\r100%", "", "", "ä", "\0x\0", "\udcff\udcfe \udcc3", "\x1b[1m ")),
)
PRINTS_CRLF = Program(shell=r"printf 'one\r\ntwo\r\n'", script=Script(lines=("one\r", "two\r")))
PRINTS_SPLIT_CHARACTERS = Program(
    shell=r"printf '\303'; sleep 0.3; printf '\244\n\303'; sleep 0.3; printf '\244'",
    script=Script(lines=("ä",), unfinished="ä"),
)
PRINTS_NOTHING = Program(shell="sleep 0.1", script=Script())
PRINTS_A_LONG_LINE = Program(
    shell="echo before; head -c 5242880 /dev/zero | tr '\\0' x; echo; echo after",
    script=Script(lines=("before", "x" * 5242880, "after")),
)
PRINTS_IN_TWO_SECONDS = Program(
    shell="echo one; echo two; sleep 1.2; echo three; echo four",
    script=Script(lines=("one", "two", "three", "four"), line_every=0.6, runs=2.0),
)
PRINTS_A_LONG_LINE_SLOWLY = Program(
    shell="head -c 200000 /dev/zero | tr '\\0' x; sleep 1.5; head -c 200000 /dev/zero | tr '\\0' x; echo; echo after",
    script=Script(lines=("x" * 400000, "after"), line_every=1.5, runs=1.6),
)
SAYS_WHERE_IT_IS = Program(
    shell='echo "$SPARK_JOB_ID $SPARK_JOB_ATTEMPT $GREETING"', script=Script(lines=("suite 1 a $(b) $$ c",))
)
RUNS_ON = Program(shell="echo ready; exec sleep 1000", script=Script(lines=("ready",), runs=None))
ENDS_WHEN_ASKED = Program(
    # A shell would say on stderr that its `sleep` was ended too.
    shell="exec 2>&-; trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done",
    script=Script(lines=("ready",), runs=None, unfinished="bye\n", code_on_term=3),
)
IGNORES_TERM = Program(
    shell="trap '' TERM; echo ready; while :; do sleep 0.1; done",
    script=Script(lines=("ready",), runs=None, ignores_term=True),
)

_ALL = [value for value in list(globals().values()) if isinstance(value, Program)]
_SCRIPTS = {tuple(program.argv): program.script for program in _ALL}


def script_of(spec: JobSpec) -> Script:
    """What the fake is to do for a spec of this suite."""
    return _SCRIPTS[tuple(spec.command or ())]
