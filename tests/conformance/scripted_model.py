"""A model on loopback that makes the calls of a script, in the API of whoever asks: for hosts without an account.

Its script is a list of calls: it makes one a turn, as soon as the tools that it needs are offered, and ends.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar, cast

Json = Mapping[str, Any]

END = "That is all."
SEARCHES = frozenset({"tool_search", "ToolSearch"})
FOUND = "<functions>"
"""The tools by which some hosts let a model search for tools, and how their answers begin: here, also references."""
FOR_FOUND = "tool_call"
"""The tool by which Qwen Code calls what was found; others take its own name."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a tool, by the name that the host gave it, and its number among those of the script."""

    name: str
    arguments: Json
    number: int = 0

    @property
    def id(self) -> str:
        return f"call_{self.number}"


class Dialect:
    """The API that hosts of one kind use for their model."""

    path: ClassVar[str]
    """How its addresses end."""

    def offered(self, body: Json) -> Sequence[str]:
        """The names of the tools that may be called."""
        raise NotImplementedError

    def told(self, body: Json) -> Sequence[str]:
        """What tools have answered so far, the oldest first."""
        raise NotImplementedError

    def reply(self, body: Json, call: Call | None) -> Json | Sequence[Json | str]:
        """The message that makes the call, or the last one: an object, or the events that stream it."""
        raise NotImplementedError


class ChatCompletions(Dialect):
    """OpenAI's chat completions."""

    path = "/chat/completions"

    def offered(self, body: Json) -> Sequence[str]:
        return [tool["function"]["name"] for tool in body.get("tools", ())]

    def told(self, body: Json) -> Sequence[str]:
        return [_text(message["content"]) for message in body["messages"] if message["role"] == "tool"]

    def reply(self, body: Json, call: Call | None) -> Json | Sequence[Json | str]:
        message: dict[str, Any] = {"role": "assistant", "content": None if call else END}
        if call:
            function = {"name": call.name, "arguments": json.dumps(call.arguments)}
            message["tool_calls"] = [{"index": 0, "id": call.id, "type": "function", "function": function}]
        head = {"id": "c", "created": 1, "model": body["model"]}
        end = {"index": 0, "finish_reason": "tool_calls" if call else "stop"}
        usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        if not body["stream"]:
            return {**head, "object": "chat.completion", "choices": [{**end, "message": message}], **usage}
        chunk = {**head, "object": "chat.completion.chunk"}
        first = {"index": 0, "delta": message, "finish_reason": None}
        return [{**chunk, "choices": [first]}, {**chunk, "choices": [{**end, "delta": {}}], **usage}, "[DONE]"]


class Responses(Dialect):
    """OpenAI's responses. A tool in a namespace is called `namespace/tool` here."""

    path = "/responses"

    def offered(self, body: Json) -> Sequence[str]:
        tools = cast("list[Json]", body.get("tools", []))
        spaces = [(tool["name"], tool.get("tools", [])) for tool in tools if tool["type"] == "namespace"]
        inside = [f"{space}/{tool['name']}" for space, its in spaces for tool in its]
        return [tool["name"] for tool in tools if tool["type"] == "function"] + inside

    def told(self, body: Json) -> Sequence[str]:
        return [_text(item["output"]) for item in body["input"] if item["type"] == "function_call_output"]

    def reply(self, body: Json, call: Call | None) -> Json | Sequence[Json | str]:
        del body
        if call:
            space, _, name = call.name.rpartition("/")
            item = {"type": "function_call", "id": f"f{call.id}", "call_id": call.id, "name": name}
            item |= {"arguments": json.dumps(call.arguments), **({"namespace": space} if space else {})}
        else:
            item = {
                "type": "message",
                "id": "m",
                "role": "assistant",
                "content": [{"type": "output_text", "text": END}],
            }
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        head = {"id": "r", "object": "response"}
        return [
            {"type": "response.created", "response": {**head, "status": "in_progress", "output": []}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {
                "type": "response.completed",
                "response": {**head, "status": "completed", "output": [item], "usage": usage},
            },
        ]


class Messages(Dialect):
    """Anthropic's messages."""

    path = "/messages"

    def offered(self, body: Json) -> Sequence[str]:
        return [tool["name"] for tool in body.get("tools", ())]

    def told(self, body: Json) -> Sequence[str]:
        blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
        return [_text(block["content"]) for block in cast("list[Json]", blocks) if block["type"] == "tool_result"]

    def reply(self, body: Json, call: Call | None) -> Json | Sequence[Json | str]:
        block: Json = {"type": "tool_use", "id": call.id, "name": call.name} if call else {"type": "text"}
        whole = {**block, **({"input": call.arguments} if call else {"text": END})}
        usage = {"input_tokens": 1, "output_tokens": 1}
        head = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "usage": usage}
        stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
        if not body["stream"]:
            return {**head, **stop, "content": [whole]}
        empty = {**block, **({"input": {}} if call else {"text": ""})}
        said = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)} if call else None
        return [
            {"type": "message_start", "message": {**head, "content": [], "stop_reason": None, "stop_sequence": None}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": said or {"type": "text_delta", "text": END}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]


class GenerateContent(Dialect):
    """Google's generateContent."""

    path = "generatecontent"

    def offered(self, body: Json) -> Sequence[str]:
        return [each["name"] for tool in body.get("tools", ()) for each in tool.get("functionDeclarations", ())]

    def told(self, body: Json) -> Sequence[str]:
        parts = [part for content in body["contents"] for part in content["parts"]]
        return [_text(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part]

    def reply(self, body: Json, call: Call | None) -> Json | Sequence[Json | str]:
        part = {"functionCall": {"name": call.name, "args": call.arguments}} if call else {"text": END}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        content = {"role": "model", "parts": [part]}
        whole = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        return [whole] if body["stream"] else whole


NOTHING: Json = {"input_tokens": 1, "totalTokens": 1, "object": "list", "data": []}
"""The replies to everything else: counts of tokens, lists of models."""
DIALECTS = (ChatCompletions(), Responses(), Messages(), GenerateContent())


_NAMED = re.compile(r'"name": ?"(\w+)"')


def _text(said: object) -> str:
    """What a tool has answered, without what an API wraps it in."""
    if isinstance(said, str):
        return said
    if isinstance(said, Mapping):
        found = cast("Json", said)
        return FOUND if found.get("type") == "tool_reference" else _text(found.get("output") or found.get("text") or "")
    return "".join(map(_text, cast("Iterable[object]", said)))


@dataclass(kw_only=True)
class Model:
    """The model: its script, and the requests that it got."""

    script: Sequence[Call]
    cuts_at: int | None = None
    """Characters to which its host is known to cut what it is told."""
    prompts: list[Json] = field(default_factory=list)
    """Every request that offered a tool of the script."""
    told: Sequence[str] = ()
    """What the tools of the script answered, in its order."""
    offered: frozenset[str] = frozenset()
    """The tools of the script that were ever offered, or found by a search."""
    at_first: frozenset[str] | None = None
    """Those that were offered with the first request that offered any tool."""

    def next(self, dialect: Dialect, body: Json) -> Call | None:
        """The next call of the script, or the search for its tool; None to end."""
        offered = dialect.offered(body)
        everything = dialect.told(body)
        told = [said for said in everything if not said.startswith(FOUND)]
        found = [name for said in everything if said.startswith(FOUND) for name in _NAMED.findall(said)]
        names = self._named(found) | self._named(offered)
        if names:
            self.prompts.append(body)
        if self.at_first is None and offered:
            self.at_first = frozenset(self._named(offered))
        self.offered |= names.keys()
        self.told = told or self.told
        call = next(iter(self.script[len(told) :]), None)
        search = next(iter(SEARCHES.intersection(offered)), None)
        if call and call.name in names:
            return _by_name(call, names[call.name], offered)
        if call is None or search is None:
            return None
        wanted = {"query": f"select:mcp__inferplan__{call.name}"}
        return Call(name=search, arguments=wanted, number=call.number + len(self.script))

    def _named(self, offered: Iterable[str]) -> dict[str, str]:
        """The tools of the script, and what the host calls each."""
        return {call.name: full for call in self.script for full in offered if full.endswith(call.name)}


def _by_name(call: Call, full: str, offered: Sequence[str]) -> Call:
    """The call by the name that the host gave the tool, which it declares or has let the model find."""
    if full in offered or FOR_FOUND not in offered:
        return replace(call, name=full)
    return replace(call, name=FOR_FOUND, arguments={"name": full, "arguments": call.arguments})


class Served:
    """The model behind an address."""

    def __init__(self, model: Model) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Served":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(model: Model) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            path, _, _ = self.path.partition("?")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            body.setdefault("stream", "stream" in path)
            dialect = next((each for each in DIALECTS if path.lower().endswith(each.path)), None)
            said = dialect.reply(body, model.next(dialect, body)) if dialect else NOTHING
            if isinstance(said, Mapping):
                self._say(json.dumps(said).encode())
            else:
                self._say("".join(_events(said)).encode(), "text/event-stream")

        def do_GET(self) -> None:
            self._say(json.dumps(NOTHING).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

        def _say(self, said: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    return Handler


def _events(said: Sequence[Json | str]) -> Iterator[str]:
    """A stream of events, named where the API names them."""
    for event in said:
        if isinstance(event, Mapping) and "type" in event:
            yield f"event: {event['type']}\n"
        yield f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n"
