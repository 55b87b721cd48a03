"""The engine's settings. Every duration is in seconds; infinite where something is kept for ever."""

from __future__ import annotations

import msgspec


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine behaves; the defaults are the documented ones.

    ``soon``: a container that can't start for a reason that waiting does not cure ends after this. ``image_grace``: how
    long an image that can't be pulled is waited for, or a node that could not do something in time. ``log_grace``: how
    long after the container's end the job waits for its log. ``log_cap`` and ``line_cap``: so many bytes of an
    attempt's log, and of a line in it, are kept. ``unsure``: how long after a create was last sent "not found" proves
    nothing. ``halt_slack``: how much longer than its grace a container may take to end before its Job is deleted under
    it. ``others_grace``: how long a container that the cluster added to a pod may outlive the job's own.
    ``node_lost_after``: how long a node may be silent before its job fails; ``lost_slot_hold``: how much longer the
    slot is held for what may still run there. ``ttl``: the objects' ``ttlSecondsAfterFinished``. ``room_every``: how often it
    is looked whether logs exceed ``max_log_bytes``. ``archive``: logs are sent to a sink once they are settled.
    """

    slots: int = 5
    default_namespace: str = "default"
    soon: float = 3.0
    image_grace: float = 90.0
    log_grace: float = 8.0
    unsure: float = 15.0
    halt_slack: float = 15.0
    gone_pause: float = 2.0
    others_grace: float = 10.0
    node_lost_after: float = 300.0
    lost_slot_hold: float = 1800.0
    ttl: float = 86_400.0
    keep_objects: float = 0.0
    keep_failed_objects: float = 0.0
    retain_jobs: float = 30 * 86_400.0
    retain_logs: float = 7 * 86_400.0
    max_log_bytes: int = 10 * 1024**3
    room_every: float = 10.0
    log_cap: int = 1024**3
    line_cap: int = 16 * 1024**2
    archive: bool = False
