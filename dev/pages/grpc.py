"""The reference page of the gRPC interface: its services and messages, from the `.proto` files and their comments."""

from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Any, TypeAlias

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from dev.pages.markdown import page, table
from dev.pages.protos import FOLDER, described

_INTRO = f"""\
The server speaks gRPC as well, by default on port 9000 (`--grpc-port`; `none` turns it off). It needs the packages of the
extra: `pip install 'spark-jobs[server,grpc]'`. The `.proto` files are in
[{FOLDER.as_posix()}](../../{FOLDER.as_posix()}); a tool without them asks the server itself (reflection).

- **Token**: where the server asks for one, send the metadata `authorization: Bearer TOKEN`. Health (`grpc.health.v1`) is
  free of it, reflection on loopback only.
- **TLS**: `--grpc-tls-cert` and `--grpc-tls-key` name PEM files, which are read again when they change.
- **Deadlines** are kept, and a call whose caller has gone is ended.
- **Sizes**: a message has at most 4 MiB. What can be longer is a stream."""

_ERRORS = """\
## Errors

The codes of gRPC beside those of REST are in the [table of errors](http.md#errors). `grpc-status-details-bin` holds a
`google.rpc.Status` with

- `ErrorInfo`: `reason` is the code of REST (`queue_full`), `domain` is `spark-jobs`. Its `metadata` has `free` (how many
  jobs would still fit) with `queue_full`, and `incident` (the id under which the server's log tells more) with
  `internal`.
- `BadRequest`: each fault with its pointer (`#/env/PORT`), what is wrong, and a stable reason. A trailer has little room:
  the first faults are listed, and a last one says how many more there are.
- `RetryInfo`: after what time to try again, where that makes sense."""

_FOLLOWING = """\
- [HTTP](http.md): the same over REST, and the table of errors.
- [A server in production](../guides/server-in-production.md): tokens and certificates.
- [Settings](settings.md): all flags of the port."""

_SCALARS = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
}
_SERVICES, _MESSAGES, _ENUMS = 6, 4, 5  # numbers of these fields in FileDescriptorProto
_METHODS = _FIELDS = _VALUES = 2
_NESTED = 3

_Path: TypeAlias = tuple[int, ...]
_Comments: TypeAlias = Mapping[_Path, str]


def grpc_page() -> str:
    """The page."""
    files = sorted(described().file, key=lambda file: file.name)
    parts = [_INTRO]
    for file in files:
        comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
        parts += _services(file, comments)
    parts.append(_ERRORS)
    for file in files:
        comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
        parts += [f"## Messages of {file.service[0].name}", *_enums(file, comments)]
        parts += _messages(file.message_type, comments, (_MESSAGES,), "")
    return page("gRPC", f"the files in `{FOLDER.as_posix()}`", parts, following=_FOLLOWING)


def _services(file: FileDescriptorProto, comments: _Comments) -> Iterator[str]:
    for number, service in enumerate(file.service):
        at = (_SERVICES, number)
        rows = []
        for index, method in enumerate(service.method):
            taken = _stream(method.client_streaming) + _short(method.input_type)
            given = _stream(method.server_streaming) + _short(method.output_type)
            rows.append([f"`{method.name}`", taken, given, _text(comments, (*at, _METHODS, index))])
        yield f"## {file.package}.{service.name}\n\n{_paragraphs(comments, at)}"
        yield table(["Method", "Takes", "Gives", "What it does"], rows)


def _enums(file: FileDescriptorProto, comments: _Comments) -> Iterator[str]:
    for number, enum in enumerate(file.enum_type):
        rows = [
            [str(value.number), f"`{value.name}`", _text(comments, (_ENUMS, number, _VALUES, index))]
            for index, value in enumerate(enum.value)
        ]
        yield f"### {enum.name}\n\n" + table(["Number", "Name", ""], rows)


def _messages(messages: Any, comments: _Comments, at: _Path, within: str) -> Iterator[str]:
    for number, message in enumerate(messages):
        here = (*at, number)
        if message.options.map_entry:
            continue
        name = f"{within}{message.name}"
        rows = [_field(message, field, _text(comments, (*here, _FIELDS, i))) for i, field in enumerate(message.field)]
        said = _text(comments, here)
        parts = [
            f"### {name}",
            *([said] if said else []),
            *([table(["No.", "Field", "Type", ""], rows)] if rows else []),
        ]
        yield "\n\n".join(parts if rows or said else [*parts, "Nothing in it."])
        yield from _messages(message.nested_type, comments, (*here, _NESTED), f"{name}.")


def _field(message: Any, field: FieldDescriptorProto, text: str) -> list[str]:
    entries = {nested.name: nested.field for nested in message.nested_type if nested.options.map_entry}
    entry = entries.get(_short(field.type_name))
    if entry is not None:
        kind = f"map of {_kind(entry[0])} to {_kind(entry[1])}"
    elif field.label == FieldDescriptorProto.LABEL_REPEATED:
        kind = f"list of {_kind(field)}"
    else:
        kind = f"optional {_kind(field)}" if field.proto3_optional else _kind(field)
    if field.HasField("oneof_index") and not field.proto3_optional:
        kind += f", one of `{message.oneof_decl[field.oneof_index].name}`"
    return [str(field.number), f"`{field.name}`", kind, text]


def _kind(field: FieldDescriptorProto) -> str:
    return _SCALARS.get(field.type) or _short(field.type_name)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _stream(streaming: bool) -> str:
    return "stream of " if streaming else ""


def _text(comments: _Comments, at: _Path) -> str:
    return " ".join(comments.get(at, "").split())


def _paragraphs(comments: _Comments, at: _Path) -> str:
    return "\n\n".join(fill(part, 120) for part in comments.get(at, "").split("\n\n"))
