"""Logs on their way into the store: buffered writing, and dropping what a reconnect repeats."""

from spark_jobs.recording.recorder import LogRecorder, advance
from spark_jobs.recording.replay import Replay, Runs

__all__ = ["LogRecorder", "Replay", "Runs", "advance"]
