"""The Makefile: every target is listed by the default one, and the ones that people know are there."""

import re
import subprocess

from tests.project.repository import ROOT, read

KNOWN = {"demo", "test", "check", "fmt", "cluster-up", "cluster-down", "bench", "clean", "lock"}


def _make(*arguments: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_make_alone_lists_every_target_with_a_word_on_it() -> None:
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", _make(), re.MULTILINE))
    declared = set(re.findall(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)[0].split())
    assert listed.keys() == declared
    assert listed.keys() >= KNOWN


def test_every_target_can_be_expanded() -> None:
    assert all(_make("-n", target) for target in KNOWN)


def test_the_makefile_stays_within_make_3_81() -> None:
    newer = re.findall(
        r"\.ONESHELL|\.RECIPEPREFIX|\$\(file |\$\(guile |^[A-Za-z_]+ *(?:::=|!=)", read("Makefile"), re.MULTILINE
    )
    assert newer == []
