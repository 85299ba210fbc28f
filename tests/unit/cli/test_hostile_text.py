"""Text of others on its way to a terminal or a pipe: every command that calls a service, on answers of which each text is hostile."""

import io
import json
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from convergence.cli.app import main
from convergence.cli.noun import verbs
from convergence.cli.output.bars import Series, stacked
from convergence.cli.output.dialect import as_json
from convergence.cli.output.printable import escaped, one_line, printable
from convergence.cli.output.screen import Screen
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

HOSTILE = "evil\x1b]0;title\x07\x9b2J\x85\u202etxt\u2028\x7f\nrun COMPLETED"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
RICH = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]|\r")
"""What rich itself writes on a terminal. HOSTILE has nothing of this form."""
LOCAL = {"login", "logout", "doctor", "up", "demo", "api", "openapi", "templates check", "profiles list", "profiles use", "profiles show"}
AMOUNTS = {"amount", "cost", "delta", "cost_before", "cost_after", "charges", "credits", "taxes", "adjustments", "total", "difference"}
DEEPEST = 6


def filled(kind: Descriptor, depth: int = 0) -> Any:
    """A message with something in every field."""
    message = GetMessageClass(kind)()
    if kind.full_name == "google.protobuf.Struct":
        message.update({HOSTILE: HOSTILE})  # type: ignore[attr-defined]
    elif kind.full_name == "google.protobuf.Value":
        message.string_value = HOSTILE  # type: ignore[attr-defined]
    elif depth < DEEPEST:
        for field in kind.fields:
            if field.name != "next_page_token":
                fill(message, field, depth)
    return message


def fill(message: Message, field: FieldDescriptor, depth: int) -> None:
    own = field.message_type
    if own is not None and own.GetOptions().map_entry:
        below = own.fields_by_name["value"]
        if below.message_type is None:
            getattr(message, field.name)[HOSTILE] = value_of(below)
        else:
            getattr(message, field.name)[HOSTILE].CopyFrom(filled(below.message_type, depth + 1))
        return
    value = filled(own, depth + 1) if own is not None else value_of(field)
    if field.is_repeated:
        getattr(message, field.name).append(value)
    elif own is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def value_of(field: FieldDescriptor) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_STRING:
            return "1.5" if field.name in AMOUNTS else HOSTILE
        case FieldDescriptor.CPPTYPE_STRING:
            return HOSTILE.encode()
        case FieldDescriptor.CPPTYPE_BOOL:
            return False
        case _:
            return 1


@dataclass(frozen=True, kw_only=True, slots=True)
class HostileServices(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped upstream
    """Answers every RPC of the suite; refuses them if `is_refusing`."""

    is_refusing: bool = False

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        service, _, rpc = details.method.removeprefix("/").rpartition("/")
        method = Default().FindServiceByName(service).methods_by_name[rpc]
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(lambda *_: self._stream(method.output_type))
        return grpc.unary_unary_rpc_method_handler(lambda _, context: self._unary(method.output_type, context))

    def _unary(self, kind: Descriptor, context: grpc.ServicerContext) -> bytes:
        if self.is_refusing:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, HOSTILE)
        return bytes(filled(kind).SerializeToString())

    @staticmethod
    def _stream(kind: Descriptor) -> Iterator[bytes]:
        for event in ("STEP", "QUALITY", "RUN"):
            message = filled(kind)
            message.event = event
            yield message.SerializeToString()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True, name="serve")
def _serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts the services, and makes the caller one who may call all of them."""
    servers = []

    def serve(handler: HostileServices) -> None:
        server = grpc.server(ThreadPoolExecutor(2), handlers=(handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        monkeypatch.setenv("CONVERGENCE_URL", f"http://127.0.0.1:{port}")

    for name, value in {"API_KEY": "k", "ADMIN_KEY": "a", "TENANT_ID": "acme_corp"}.items():
        monkeypatch.setenv(f"CONVERGENCE_{name}", value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "2000")  # a narrower terminal breaks long cells
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("credentials.json").write_text('{"project_id": "p"}')
    yield serve
    for server in servers:
        server.stop(None).wait()


def printed(monkeypatch: pytest.MonkeyPatch, words: list[str], out: io.StringIO) -> tuple[int, str]:
    err = type(out)()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    code = main(words)
    return code, out.getvalue() + err.getvalue()


def lines() -> list[list[str]]:
    """The example of each command."""
    return [shlex.split(verb.example.partition("|")[0])[1:] for verb in verbs() if verb.path not in LOCAL]


@pytest.mark.parametrize("words", lines(), ids=" ".join)
def test_no_answer_controls_a_terminal_or_a_pipe(serve: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    serve(HostileServices())
    for out, more in ((io.StringIO(), []), (io.StringIO(), ["--json"]), (Terminal(), []), (Terminal(), ["--json"])):
        code, text = printed(monkeypatch, [*words, *more], out)
        assert code != 7, text
        assert FORBIDDEN.findall(RICH.sub("", text) if isinstance(out, Terminal) and not more else text) == []
        if "trust" not in words:  # has files to copy
            assert not re.search("^run COMPLETED", text, re.MULTILINE), "a line break in a text is no line of its own"
        assert "evil" in text or words[0] == "jobs"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_no_error_does(serve: Any, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    serve(HostileServices(is_refusing=True))
    code, text = printed(monkeypatch, ["quota", *more], io.StringIO())
    assert (code, FORBIDDEN.findall(text)) == (2, [])
    assert "evil" in text
    _, text = printed(monkeypatch, ["run", "start", HOSTILE, *more], io.StringIO())
    assert FORBIDDEN.findall(text) == []


@given(st.text(st.characters()))
def test_json_keeps_its_value_and_text_its_length(text: str) -> None:
    found = as_json({"key": text}) if text.isprintable() else escaped(json.dumps({"key": text}, ensure_ascii=False))
    assert json.loads(found) == {"key": text}
    assert FORBIDDEN.findall(found) == []
    assert len(printable(text)) == len(text)
    assert "\n" not in one_line(text)


@given(st.text(st.characters(blacklist_categories=[])), st.text(st.characters(blacklist_categories=[])))
def test_bars_and_a_screen_print_nothing_else(name: str, period: str) -> None:
    drawn = stacked([period], [Series(name=name, values=[1.0])], width=80)
    assert all(FORBIDDEN.findall(line.plain) == [] and "\n" not in line.plain for line in drawn)
    file = io.StringIO()
    Screen(file=file, force_terminal=True, color_system=None).print(Text.assemble(name, period), period)
    assert FORBIDDEN.findall(file.getvalue()) == []
