"""Logs on their way into the store: buffered writing, and dropping what a reconnect repeats."""

from spark_jobs.recording.recorder import FLUSH_BYTES, LogRecorder, advance
from spark_jobs.recording.replay import Replay, Runs

__all__ = ["FLUSH_BYTES", "LogRecorder", "Replay", "Runs", "advance"]
