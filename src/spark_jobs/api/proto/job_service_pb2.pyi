import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_STARTING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_TIMED_OUT: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_STARTING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_TIMED_OUT: JobState
JOB_STATE_CANCELLED: JobState

class Limit(_message.Message):
    __slots__ = ("seconds", "none")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    NONE_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    none: bool
    def __init__(self, seconds: _Optional[float] = ..., none: bool = ...) -> None: ...

class EnvValue(_message.Message):
    __slots__ = ("value", "secret", "config_map", "field")
    class KeyRef(_message.Message):
        __slots__ = ("name", "key")
        NAME_FIELD_NUMBER: _ClassVar[int]
        KEY_FIELD_NUMBER: _ClassVar[int]
        name: str
        key: str
        def __init__(self, name: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CONFIG_MAP_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    value: str
    secret: EnvValue.KeyRef
    config_map: EnvValue.KeyRef
    field: str
    def __init__(self, value: _Optional[str] = ..., secret: _Optional[_Union[EnvValue.KeyRef, _Mapping]] = ..., config_map: _Optional[_Union[EnvValue.KeyRef, _Mapping]] = ..., field: _Optional[str] = ...) -> None: ...

class EnvFrom(_message.Message):
    __slots__ = ("secret", "config_map")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CONFIG_MAP_FIELD_NUMBER: _ClassVar[int]
    secret: str
    config_map: str
    def __init__(self, secret: _Optional[str] = ..., config_map: _Optional[str] = ...) -> None: ...

class Volume(_message.Message):
    __slots__ = ("mount", "pvc", "secret", "config_map", "empty_dir", "read_only", "sub_path")
    class EmptyDir(_message.Message):
        __slots__ = ("medium", "size")
        MEDIUM_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        medium: str
        size: str
        def __init__(self, medium: _Optional[str] = ..., size: _Optional[str] = ...) -> None: ...
    MOUNT_FIELD_NUMBER: _ClassVar[int]
    PVC_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CONFIG_MAP_FIELD_NUMBER: _ClassVar[int]
    EMPTY_DIR_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    SUB_PATH_FIELD_NUMBER: _ClassVar[int]
    mount: str
    pvc: str
    secret: str
    config_map: str
    empty_dir: Volume.EmptyDir
    read_only: bool
    sub_path: str
    def __init__(self, mount: _Optional[str] = ..., pvc: _Optional[str] = ..., secret: _Optional[str] = ..., config_map: _Optional[str] = ..., empty_dir: _Optional[_Union[Volume.EmptyDir, _Mapping]] = ..., read_only: bool = ..., sub_path: _Optional[str] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("requests", "limits")
    class RequestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.ScalarMap[str, str]
    limits: _containers.ScalarMap[str, str]
    def __init__(self, requests: _Optional[_Mapping[str, str]] = ..., limits: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Toleration(_message.Message):
    __slots__ = ("key", "operator", "value", "effect", "toleration_seconds")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    TOLERATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    key: str
    operator: str
    value: str
    effect: str
    toleration_seconds: int
    def __init__(self, key: _Optional[str] = ..., operator: _Optional[str] = ..., value: _Optional[str] = ..., effect: _Optional[str] = ..., toleration_seconds: _Optional[int] = ...) -> None: ...

class RetryOn(_message.Message):
    __slots__ = ("reasons",)
    REASONS_FIELD_NUMBER: _ClassVar[int]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("image", "command", "args", "id", "name", "labels", "env", "env_from", "volumes", "cpu", "memory", "gpu", "resources", "timeout", "start_timeout", "queue_timeout", "termination_grace", "retries", "backoff", "retry_on", "priority", "namespace", "service_account", "node_selector", "tolerations", "runtime_class", "priority_class", "image_pull_policy", "image_pull_secrets", "working_dir", "run_as_user", "run_as_group", "fs_group", "read_only_root", "security_profile")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: EnvValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[EnvValue, _Mapping]] = ...) -> None: ...
    class NodeSelectorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    ENV_FROM_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    START_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_GRACE_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NODE_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TOLERATIONS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_CLASS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_CLASS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PULL_POLICY_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PULL_SECRETS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    RUN_AS_USER_FIELD_NUMBER: _ClassVar[int]
    RUN_AS_GROUP_FIELD_NUMBER: _ClassVar[int]
    FS_GROUP_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_ROOT_FIELD_NUMBER: _ClassVar[int]
    SECURITY_PROFILE_FIELD_NUMBER: _ClassVar[int]
    image: str
    command: _containers.RepeatedScalarFieldContainer[str]
    args: _containers.RepeatedScalarFieldContainer[str]
    id: str
    name: str
    labels: _containers.ScalarMap[str, str]
    env: _containers.MessageMap[str, EnvValue]
    env_from: _containers.RepeatedCompositeFieldContainer[EnvFrom]
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    cpu: str
    memory: str
    gpu: str
    resources: Resources
    timeout: Limit
    start_timeout: Limit
    queue_timeout: Limit
    termination_grace: float
    retries: int
    backoff: float
    retry_on: RetryOn
    priority: int
    namespace: str
    service_account: str
    node_selector: _containers.ScalarMap[str, str]
    tolerations: _containers.RepeatedCompositeFieldContainer[Toleration]
    runtime_class: str
    priority_class: str
    image_pull_policy: str
    image_pull_secrets: _containers.RepeatedScalarFieldContainer[str]
    working_dir: str
    run_as_user: int
    run_as_group: int
    fs_group: int
    read_only_root: bool
    security_profile: str
    def __init__(self, image: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., args: _Optional[_Iterable[str]] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., env: _Optional[_Mapping[str, EnvValue]] = ..., env_from: _Optional[_Iterable[_Union[EnvFrom, _Mapping]]] = ..., volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ..., cpu: _Optional[str] = ..., memory: _Optional[str] = ..., gpu: _Optional[str] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., timeout: _Optional[_Union[Limit, _Mapping]] = ..., start_timeout: _Optional[_Union[Limit, _Mapping]] = ..., queue_timeout: _Optional[_Union[Limit, _Mapping]] = ..., termination_grace: _Optional[float] = ..., retries: _Optional[int] = ..., backoff: _Optional[float] = ..., retry_on: _Optional[_Union[RetryOn, _Mapping]] = ..., priority: _Optional[int] = ..., namespace: _Optional[str] = ..., service_account: _Optional[str] = ..., node_selector: _Optional[_Mapping[str, str]] = ..., tolerations: _Optional[_Iterable[_Union[Toleration, _Mapping]]] = ..., runtime_class: _Optional[str] = ..., priority_class: _Optional[str] = ..., image_pull_policy: _Optional[str] = ..., image_pull_secrets: _Optional[_Iterable[str]] = ..., working_dir: _Optional[str] = ..., run_as_user: _Optional[int] = ..., run_as_group: _Optional[int] = ..., fs_group: _Optional[int] = ..., read_only_root: bool = ..., security_profile: _Optional[str] = ...) -> None: ...

class LogSummary(_message.Message):
    __slots__ = ("bytes", "lines", "state", "complete", "problem", "archived")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    lines: int
    state: str
    complete: bool
    problem: str
    archived: str
    def __init__(self, bytes: _Optional[int] = ..., lines: _Optional[int] = ..., state: _Optional[str] = ..., complete: bool = ..., problem: _Optional[str] = ..., archived: _Optional[str] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queued", "starting", "pulling", "running", "collecting")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    STARTING_FIELD_NUMBER: _ClassVar[int]
    PULLING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    COLLECTING_FIELD_NUMBER: _ClassVar[int]
    queued: float
    starting: float
    pulling: float
    running: float
    collecting: float
    def __init__(self, queued: _Optional[float] = ..., starting: _Optional[float] = ..., pulling: _Optional[float] = ..., running: _Optional[float] = ..., collecting: _Optional[float] = ...) -> None: ...

class PodEvent(_message.Message):
    __slots__ = ("time", "type", "reason", "message", "count")
    TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    type: str
    reason: str
    message: str
    count: int
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("attempt", "state", "reason", "message", "exit_code", "result", "cluster", "namespace", "kubernetes_job", "pod", "node", "claimed_at", "started_at", "finished_at", "log", "timings", "events")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_JOB_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    state: JobState
    reason: str
    message: str
    exit_code: int
    result: str
    cluster: str
    namespace: str
    kubernetes_job: str
    pod: str
    node: str
    claimed_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    log: LogSummary
    timings: Timings
    events: _containers.RepeatedCompositeFieldContainer[PodEvent]
    def __init__(self, attempt: _Optional[int] = ..., state: _Optional[_Union[JobState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., exit_code: _Optional[int] = ..., result: _Optional[str] = ..., cluster: _Optional[str] = ..., namespace: _Optional[str] = ..., kubernetes_job: _Optional[str] = ..., pod: _Optional[str] = ..., node: _Optional[str] = ..., claimed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., log: _Optional[_Union[LogSummary, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., events: _Optional[_Iterable[_Union[PodEvent, _Mapping]]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "state", "reason", "message", "hint", "exit_code", "result", "activity", "position", "estimated_start_at", "cancel_requested_at", "retry_of", "not_before", "created_at", "started_at", "finished_at", "spec", "attempts")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_START_AT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: JobState
    reason: str
    message: str
    hint: str
    exit_code: int
    result: str
    activity: str
    position: int
    estimated_start_at: _timestamp_pb2.Timestamp
    cancel_requested_at: _timestamp_pb2.Timestamp
    retry_of: str
    not_before: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    spec: JobSpec
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., exit_code: _Optional[int] = ..., result: _Optional[str] = ..., activity: _Optional[str] = ..., position: _Optional[int] = ..., estimated_start_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_of: _Optional[str] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("spec", "idempotency_key")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    spec: JobSpec
    idempotency_key: str
    def __init__(self, spec: _Optional[_Union[JobSpec, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("job", "replayed")
    JOB_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    job: Job
    replayed: bool
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class SubmitBatchRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: JobSpec
    def __init__(self, spec: _Optional[_Union[JobSpec, _Mapping]] = ...) -> None: ...

class SubmitBatchResponse(_message.Message):
    __slots__ = ("job", "replayed")
    JOB_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    job: Job
    replayed: bool
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("job_id", "wait")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    wait: float
    def __init__(self, job_id: _Optional[str] = ..., wait: _Optional[float] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("states", "labels", "name", "name_prefix", "id_prefix", "since", "until", "page_size", "page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[JobState]
    labels: _containers.RepeatedScalarFieldContainer[str]
    name: str
    name_prefix: str
    id_prefix: str
    since: str
    until: str
    page_size: int
    page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[JobState, str]]] = ..., labels: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., name_prefix: _Optional[str] = ..., id_prefix: _Optional[str] = ..., since: _Optional[str] = ..., until: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class RetryRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetQueueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PauseQueueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeQueueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("id", "name", "priority", "position", "created_at", "not_before", "estimated_start_at", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_START_AT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    priority: int
    position: int
    created_at: _timestamp_pb2.Timestamp
    not_before: _timestamp_pb2.Timestamp
    estimated_start_at: _timestamp_pb2.Timestamp
    why: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., priority: _Optional[int] = ..., position: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., estimated_start_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("depth", "backoff", "capacity", "running", "slots", "oldest_wait", "paused", "limiter_wait", "waiting", "lost")
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAIT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    LIMITER_WAIT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    depth: int
    backoff: int
    capacity: int
    running: int
    slots: int
    oldest_wait: float
    paused: bool
    limiter_wait: float
    waiting: _containers.RepeatedCompositeFieldContainer[Waiting]
    lost: int
    def __init__(self, depth: _Optional[int] = ..., backoff: _Optional[int] = ..., capacity: _Optional[int] = ..., running: _Optional[int] = ..., slots: _Optional[int] = ..., oldest_wait: _Optional[float] = ..., paused: bool = ..., limiter_wait: _Optional[float] = ..., waiting: _Optional[_Iterable[_Union[Waiting, _Mapping]]] = ..., lost: _Optional[int] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("job_id", "after")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after: int
    def __init__(self, job_id: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("seq", "time", "job_id", "attempt", "type", "to", "reason", "job")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time: _timestamp_pb2.Timestamp
    job_id: str
    attempt: int
    type: str
    to: JobState
    reason: str
    job: Job
    def __init__(self, seq: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., type: _Optional[str] = ..., to: _Optional[_Union[JobState, str]] = ..., reason: _Optional[str] = ..., job: _Optional[_Union[Job, _Mapping]] = ..., **kwargs) -> None: ...

class FollowLogsRequest(_message.Message):
    __slots__ = ("job_id", "attempt", "follow", "offset", "tail", "since", "timestamps", "alone", "all_attempts")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    ALONE_FIELD_NUMBER: _ClassVar[int]
    ALL_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    follow: bool
    offset: int
    tail: int
    since: str
    timestamps: bool
    alone: bool
    all_attempts: bool
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., follow: bool = ..., offset: _Optional[int] = ..., tail: _Optional[int] = ..., since: _Optional[str] = ..., timestamps: bool = ..., alone: bool = ..., all_attempts: bool = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("attempt", "offset", "data", "line_times")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LINE_TIMES_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    offset: int
    data: bytes
    line_times: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, attempt: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., line_times: _Optional[_Iterable[int]] = ...) -> None: ...

class SearchLogsRequest(_message.Message):
    __slots__ = ("pattern", "fixed", "ignore_case", "context", "states", "labels", "name", "job_id", "since", "limit")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    fixed: bool
    ignore_case: bool
    context: int
    states: _containers.RepeatedScalarFieldContainer[JobState]
    labels: _containers.RepeatedScalarFieldContainer[str]
    name: str
    job_id: str
    since: str
    limit: int
    def __init__(self, pattern: _Optional[str] = ..., fixed: bool = ..., ignore_case: bool = ..., context: _Optional[int] = ..., states: _Optional[_Iterable[_Union[JobState, str]]] = ..., labels: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., job_id: _Optional[str] = ..., since: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class FoundLine(_message.Message):
    __slots__ = ("line", "offset", "time", "text", "bytes", "cut")
    LINE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    line: int
    offset: int
    time: str
    text: str
    bytes: bytes
    cut: bool
    def __init__(self, line: _Optional[int] = ..., offset: _Optional[int] = ..., time: _Optional[str] = ..., text: _Optional[str] = ..., bytes: _Optional[bytes] = ..., cut: bool = ...) -> None: ...

class LogMatch(_message.Message):
    __slots__ = ("job_id", "attempt", "found", "name", "before", "after")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    found: FoundLine
    name: str
    before: _containers.RepeatedCompositeFieldContainer[FoundLine]
    after: _containers.RepeatedCompositeFieldContainer[FoundLine]
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., found: _Optional[_Union[FoundLine, _Mapping]] = ..., name: _Optional[str] = ..., before: _Optional[_Iterable[_Union[FoundLine, _Mapping]]] = ..., after: _Optional[_Iterable[_Union[FoundLine, _Mapping]]] = ...) -> None: ...

class SearchProgress(_message.Message):
    __slots__ = ("logs", "bytes", "matches", "complete", "problems")
    LOGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    logs: int
    bytes: int
    matches: int
    complete: bool
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, logs: _Optional[int] = ..., bytes: _Optional[int] = ..., matches: _Optional[int] = ..., complete: bool = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class SearchLogsResponse(_message.Message):
    __slots__ = ("match", "progress")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    match: LogMatch
    progress: SearchProgress
    def __init__(self, match: _Optional[_Union[LogMatch, _Mapping]] = ..., progress: _Optional[_Union[SearchProgress, _Mapping]] = ...) -> None: ...
