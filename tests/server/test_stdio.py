"""The server as a process: only protocol lines on stdout, and a clean end."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from inferplan.server.stdio.open_questions import GRACE_S
from inferplan.server.stdio.wire import LONGEST_LINE, MOST_UNREAD

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
SOON_S = 0.9 * GRACE_S
"""How long an end takes at most that waits for no open question, on a machine with much else to do. [s]"""

NOISY = """
import os, subprocess, sys
print("printed while importing")
from pydantic import Field
from inferplan.tools._tool import Answer, Question, Tool

class NoisyQuestion(Question):
    tool = "shout"
    users: int = Field(default=1, description="Sessions.")

class NoisyAnswer(Answer):
    total_gb: float = Field(description="GB.")

def shout(q: NoisyQuestion) -> NoisyAnswer:
    print("printed")
    sys.stdout.flush()
    os.write(1, b"written\\n")
    subprocess.run([sys.executable, "-c", "print('printed by a child')"], check=True)
    return NoisyAnswer(summary="s", diagram="d", formula=[], assumptions=[], inputs={}, next_steps=[], total_gb=1.0)

TOOL = Tool(
    title="Shout", description="Shout.", question=NoisyQuestion, answer=NoisyAnswer, run=shout, example={}
)
"""

SERVE_NOISY = """
import sys
sys.path.insert(0, sys.argv[1])
import inferplan.server.__main__ as command
import inferplan.server.app as app

create_server = app.create_server

def create_noisy_server():
    import noisy
    return create_server(tools=[noisy.TOOL])

app.create_server = create_noisy_server
sys.exit(command.main(sys.argv[2:]))
"""


@pytest.fixture(params=[(), ("--no-front",)], ids=["front", "sdk"])
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """With the front, and with the SDK alone."""
    return request.param


@pytest.mark.parametrize("version", VERSIONS)
def test_every_revision_of_the_protocol_is_served(standing: Callable[..., Any], version: str):
    wire = standing(version)
    greeting = wire.greeting
    assert greeting.get("protocolVersion", version) == version
    assert greeting.get("supportedVersions", [version]) == [version]
    assert greeting["instructions"]
    tools = {tool["name"]: tool for tool in wire.result("tools/list")["tools"]}
    assert next(iter(tools)) == "estimate_vram"
    called = wire.result("tools/call", name="estimate_vram", arguments={"model": "70B", "precision": "fp8"})
    assert called["structuredContent"]["weights_gb"] == 70
    assert called["content"][0]["text"].startswith(called["structuredContent"]["summary"])
    prompts = [prompt["name"] for prompt in wire.result("prompts/list")["prompts"]]
    assert prompts[0] == "plan_llm_serving"
    prompt = wire.result("prompts/get", name="size_memory", arguments={"model": "70B"})
    assert 'model="70B"' in prompt["messages"][0]["content"]["text"]
    assert {"uri": "inferplan://gpus"}.items() <= wire.result("resources/list")["resources"][1].items()
    assert wire.result("resources/templates/list")["resourceTemplates"]
    read = wire.result("resources/read", uri="inferplan://gpus/H100")
    assert json.loads(read["contents"][0]["text"])["id"] == "h100-sxm"
    completed = wire.result(
        "completion/complete",
        ref={"type": "ref/prompt", "name": "size_memory"},
        argument={"name": "model", "value": "70"},
    )
    assert completed["completion"]["values"][0] == "70B"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_not_there_is_a_protocol_error_that_says_what_is(standing: Callable[..., Any], version: str):
    wire = standing(version)
    for method, params, near in (
        ("tools/call", {"name": "estimate_vrm", "arguments": {}}, "`estimate_vram`"),
        ("tools/call", {"name": "estimate_vram", "arguments": ["70B"]}, "one JSON object"),
        ("tools/call", {"name": 7}, "name of a tool"),
        ("prompts/get", {"name": "size_memry"}, "`size_memory`"),
        ("prompts/get", {"name": "size_memory"}, "`model`"),
        ("prompts/get", {"name": "size_memory", "arguments": {"model": 70}}, "text in quotes"),
        ("prompts/get", {"name": "size_memory", "arguments": ["70B"]}, "one JSON object"),
        ("resources/read", {"uri": "inferplan://gpu"}, "inferplan://gpus"),
        ("resources/read", {"uri": "inferplan://gpus/h10"}, "inferplan://gpus/h100-sxm"),
        ("resources/read", {"uri": 7}, "address of a resource"),
        ("tools/list", {"cursor": "abc"}, 'every list is one page; got "abc"'),
        ("prompts/list", {"cursor": ""}, "`cursor` is left out"),
        ("resources/list", {"cursor": 7}, "`cursor` is left out"),
        ("resources/templates/list", {"cursor": "2"}, "`cursor` is left out"),
    ):
        error = wire.ask(method, **params)["error"]
        assert error["code"] == -32602, error
        assert near in error["message"]
        assert "\n" not in error["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400])
def test_a_number_that_is_none_is_refused_by_name(standing: Callable[..., Any], number: str):
    wire = standing("2025-11-25")
    call = '{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"estimate_vram","arguments":%s}}'
    wire.say(call % f'{{"model":"70B","concurrent_users":{number}}}')
    result = wire.listen()["result"]
    assert result["isError"]
    assert "structuredContent" not in result
    assert "`concurrent_users` takes a whole number from 1" in result["content"][0]["text"]


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_nothing_but_the_protocol_reaches_stdout(connect: Callable[..., Any], tmp_path: Path, version: str):
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    script = tmp_path / "serve.py"
    script.write_text(SERVE_NOISY, encoding="utf-8")
    wire = connect(version, "-u", str(script), str(tmp_path))
    assert wire.result("tools/call", name="shout", arguments={})["structuredContent"]["total_gb"] == 1.0
    rest, errors = wire.process.communicate()
    assert rest == ""
    for noise in ("printed while importing", "printed", "written", "printed by a child"):
        assert noise in errors


def test_everything_asked_is_answered_before_the_end_of_the_input_ends_the_server(flags: tuple[str, ...]):
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    lines = [{"id": 0, "method": "initialize", "params": hello}, {"method": "notifications/initialized"}]
    lines += [
        {"id": n, "method": "tools/call", "params": {"name": "estimate_vram", "arguments": {"model": "70B"}}}
        for n in range(1, 21)
    ]
    said = "\n".join(json.dumps({"jsonrpc": "2.0"} | line) for line in lines)
    done = subprocess.run(
        [sys.executable, "-m", "inferplan.server", *flags],
        input=said,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["id"] for reply in replies] == list(range(21))
    assert (done.returncode, done.stderr) == (0, "")


def test_files_are_served_as_well_as_pipes(tmp_path: Path):
    asked, answered = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    first = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    asked.write_text(f'{first}\nnot JSON\n{{"jsonrpc":"2.0","id":2}}\n', "utf-8")
    with asked.open() as source, answered.open("w") as sink:
        done = subprocess.run([sys.executable, "-m", "inferplan.server"], stdin=source, stdout=sink, check=False)
    assert done.returncode == 0
    replies = {reply["id"]: reply for reply in map(json.loads, answered.read_text("utf-8").splitlines())}
    assert replies[1]["result"]["serverInfo"]["name"] == "inferplan"
    assert (replies[None]["error"]["code"], replies[2]["error"]["code"]) == (-32700, -32600)


@pytest.mark.parametrize("params", [{}, {"_meta": {"of": "the SDK"}}], ids=["front", "sdk"])
def test_a_client_that_stops_reading_ends_the_server_quietly(connect: Callable[..., Any], params: dict[str, Any]):
    wire = connect("2025-11-25")
    wire.process.stdout.close()
    for number in range(20):
        wire.say({"jsonrpc": "2.0", "id": number, "method": "tools/list", "params": params})
    wire.process.stdin.close()
    assert wire.process.wait(timeout=SOON_S) == 0
    assert wire.process.stderr.read() == ""


def test_a_client_that_is_slow_to_read_gets_every_answer(connect: Callable[..., Any]):
    wire = connect("2026-07-28")
    asked = [{"jsonrpc": "2.0", "id": n, "method": "tools/list", "params": {"_meta": ENVELOPE}} for n in range(60)]
    for message in asked:
        wire.say(message)
    wire.process.stdin.close()
    assert [json.loads(line)["id"] for line in wire.process.stdout] == list(range(60))


def test_a_client_that_reads_nothing_before_it_has_said_everything_is_answered(connect: Callable[..., Any]):
    wire = connect("2025-11-25")
    for number in range(200):
        wire.say(json.dumps({"jsonrpc": "2.0", "id": number, "method": "prompts/list"}) + " " * 2000)
    wire.process.stdin.close()
    assert [json.loads(line)["id"] for line in wire.process.stdout] == list(range(200))


@pytest.mark.skipif(os.name == "nt", reason="pipes that are not waited for")
@pytest.mark.parametrize("flags", [()], ids=["front"])
@pytest.mark.parametrize("opened", [[], [{"x": 1}]], ids=["by the front", "behind the front"])
def test_a_client_that_says_ever_more_and_never_reads_has_to_wait(connect: Callable[..., Any], opened: list[Any]):
    wire = connect("2025-11-25")
    for params in opened:  # which the SDK has to answer
        wire.result("ping", **params)
    for _ in range(20):
        wire.say({"jsonrpc": "2.0", "id": "more than a pipe holds", "method": "tools/list"})
    ping = b'{"jsonrpc":"2.0","id":"padded","method":"ping"}' + b" " * (2**20 - 48) + b"\n"
    source, taken, left = wire.process.stdin.fileno(), 0, memoryview(ping)
    os.set_blocking(source, False)
    while taken < 2 * MOST_UNREAD and select.select([], [source], [], 2)[1]:
        written = os.write(source, left)
        taken += written
        left = left[written:] or memoryview(ping)
    assert taken <= MOST_UNREAD + 2**20
    replies = [wire.listen()["id"] for _ in range(20 + taken // len(ping))]
    assert replies == ["more than a pipe holds"] * 20 + ["padded"] * (taken // len(ping))
    os.set_blocking(source, True)
    wire.say(left.tobytes().decode())
    assert wire.listen()["id"] == "padded"


def test_a_message_longer_than_a_pipe_is_read_whole(standing: Callable[..., Any]):
    wire = standing("2025-11-25")
    called = wire.result("tools/call", name="estimate_vram", arguments={"model": "x" * 3_000_000})
    assert "`model`" in called["content"][0]["text"]
    assert len(called["content"][0]["text"]) < 700


@pytest.mark.skipif(os.name == "nt", reason="pipes that the SDK reads in a thread, whatever comes")
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_a_line_longer_than_any_message_is_told_so_and_not_kept(connect: Callable[..., Any], version: str):
    """One of 1,100 MiB once took three times that, and ended the server with a traceback."""
    wire = connect(version)
    for _ in range(64):
        wire.process.stdin.write("a" * LONGEST_LINE)
    wire.say("")
    refused = wire.listen()
    assert (refused["id"], refused["error"]["code"]) == (None, -32600)
    assert refused["error"]["message"] == "a message takes at most 4,194,304 bytes on its line."
    assert wire.result("tools/list")["tools"]
    if sys.platform == "linux":
        status = Path(f"/proc/{wire.process.pid}/status").read_text("utf-8")
        (peak_kib,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        assert peak_kib < 64 * LONGEST_LINE / 2**10
    wire.say({"jsonrpc": "2.0", "id": "handed over", "method": "ping", "params": {"x": 1}})
    wire.listen()
    wire.process.stdin.write("a" * (LONGEST_LINE + 1))
    rest, errors = wire.process.communicate()
    assert (json.loads(rest), errors) == (refused, "")


@pytest.mark.skipif(os.name == "nt", reason="pipes that the SDK reads in a thread, whatever comes")
def test_a_line_may_be_just_as_long_as_is_said(connect: Callable[..., Any]):
    wire = connect("2025-11-25")
    ping = '{"jsonrpc":"2.0","id":"as long as may be","method":"ping"}'
    wire.say(ping + " " * (LONGEST_LINE - len(ping) - 1))
    assert wire.listen()["id"] == "as long as may be"
    wire.say(ping + " " * (LONGEST_LINE - len(ping)))
    assert wire.listen()["error"]["code"] == -32600


@pytest.mark.parametrize("given", [{"stdin": subprocess.DEVNULL}, {"input": ""}], ids=["null", "pipe"])
def test_an_empty_input_ends_the_server_quietly(flags: tuple[str, ...], given: dict[str, Any]):
    done = subprocess.run(
        [sys.executable, "-m", "inferplan.server", *flags],
        **given,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_a_line_that_is_no_message_is_told_so_and_does_not_stop_the_server(standing: Callable[..., Any], version: str):
    wire = standing(version)
    for line, id_, code, sentence in (
        (
            "this is not JSON",
            None,
            -32700,
            "this line is not JSON (expected ident at line 1",
        ),
        ('{"jsonrpc":"2.0","id":7,"method":"ping"', None, -32700, "this line is not JSON (EOF while parsing"),
        ('{"jsonrpc":"2.0","id":7,"method":"\\ud800"}', 7, -32700, "this line is not JSON (unexpected end"),
        (
            '{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
            None,
            -32700,
            "this line is not JSON (unexpected end",
        ),
        (
            "[]",
            None,
            -32600,
            "a message is one JSON object on one line; got a list: batches are of revision 2025-03-26 alone.",
        ),
        ('"ping"', None, -32600, 'a message is one JSON object on one line; got "ping".'),
        ('{"jsonrpc":"2.0","id":7}', 7, -32600, "`method` takes the name of a method in quotes; got null."),
        ('{"jsonrpc":"2.0","id":"a","method":1}', "a", -32600, "`method` takes the name of a method in quotes; got 1."),
        ('{"id":7,"method":"ping"}', 7, -32600, '`jsonrpc` takes "2.0"; got null.'),
        ('{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}', 7, -32600, "`params` takes one JSON object"),
        ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, -32600, "`id` takes a text or a whole number; got 1.5."),
        ('{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600, "`id` takes a text or a whole number; got null."),
    ):
        wire.say(line)
        reply = wire.listen()
        assert (reply["id"], reply["error"]["code"]) == (id_, code), line
        assert reply["error"]["message"].startswith(sentence), line
    assert wire.result("tools/list")["tools"]


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("id_", ["{}", "[]", '{"a":[1]}', "null", "1.5", "true", '"never asked"', "7"])
def test_a_cancellation_of_what_is_no_request_stops_nothing(standing: Callable[..., Any], version: str, id_: str):
    wire = standing(version)
    wire.say(f'{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id_}}}}}')
    wire.say('{"jsonrpc":"2.0","method":"notifications/cancelled"}')
    assert wire.result("tools/list")["tools"]


SEARCH = {"name": "plan_parallelism", "arguments": {"model": "70B", "gpu": "any", "concurrent_users": 50}}


def message(**members: object) -> str:
    return json.dumps({"jsonrpc": "2.0"} | members) + "\n"


def said_in_a_session(lines: list[str], flags: tuple[str, ...]) -> list[dict[str, Any]]:
    """What a server replies to these lines, which come all at once and then end."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    done = subprocess.run(
        [sys.executable, "-m", "inferplan.server", *flags],
        input="".join([message(id=0, method="initialize", params=hello), *lines]),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()][1:]


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        (1, message(method="notifications/cancelled", params={"requestId": "1"})),
        ("1", message(method="notifications/cancelled", params={"requestId": 1})),
        (1, message(method="notifications/cancelled", params={"requestId": True})),
        (1, message(id=1, result={})),
        (1, message(id=1, method=7)),
    ],
    ids=["the same in quotes", "the same without quotes", "true", "an answer", "no message"],
)
def test_a_call_is_answered_whatever_is_said_of_another_id(flags: tuple[str, ...], id_: str | int, said: str):
    """The SDK takes "1" for 1 and then never answers; the end of the input waited for that, or for nothing at all."""
    replies = said_in_a_session([message(id=id_, method="tools/call", params=SEARCH), said], flags)
    (called,) = [reply for reply in replies if "error" not in reply]
    assert (called["id"], type(called["id"])) == (id_, type(id_))
    assert called["result"]["structuredContent"]


def test_of_two_calls_that_the_sdk_cannot_tell_apart_none_is_cancelled(flags: tuple[str, ...]):
    calls = [message(id=id_, method="tools/call", params=SEARCH) for id_ in (1, "1")]
    replies = said_in_a_session(
        [*calls, message(method="notifications/cancelled", params={"requestId": 1})],
        flags,
    )
    assert sorted(repr(reply["id"]) for reply in replies) == ["'1'", "1"]
    assert all(reply["result"]["structuredContent"] for reply in replies)


@pytest.mark.parametrize("id_", [1, "1", "a"])
def test_a_call_that_is_cancelled_by_its_own_id_is_not_answered(flags: tuple[str, ...], id_: str | int):
    lines = [message(id=id_, method="tools/call", params=SEARCH), message(id=2, method="ping")]
    lines += [message(method="notifications/cancelled", params={"requestId": id_})]
    assert [reply["id"] for reply in said_in_a_session(lines, flags)] == [2]


def test_where_nothing_was_asked_nothing_is_answered(connect: Callable[..., Any]):
    wire = connect("2025-11-25")
    for line in (
        "",
        "  ",
        '{"jsonrpc":"2.0","id":7,"result":1}',
        '{"jsonrpc":"2.0","id":7,"error":{}}',
        '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"no such tool"}}',
    ):
        wire.say(line)
    assert wire.result("tools/list")["tools"]
    rest, errors = wire.process.communicate()
    assert (rest, errors) == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_at_once_and_without_a_traceback(connect: Callable[..., Any], sent: signal.Signals):
    wire = connect("2026-07-28")
    wire.process.send_signal(sent)
    assert wire.process.wait(timeout=SOON_S) == -sent
    _, errors = wire.process.communicate()
    assert errors == ""


IN_A_CONTAINER = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child")


def has_containers() -> bool:
    """Whether a process may be started here as the first of its own."""
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run([*IN_A_CONTAINER, "true"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(sys.platform != "linux" or not has_containers(), reason="processes that think they are the first")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_first_process_of_a_container_too(flags: tuple[str, ...], sent: signal.Signals):
    """To process 1 a signal does nothing by default: `docker stop` took its ten seconds."""
    with subprocess.Popen(
        [*IN_A_CONTAINER, sys.executable, "-m", "inferplan.server", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as outside:
        assert outside.stdin
        assert outside.stdout
        assert outside.stderr
        outside.stdin.write(message(id=1, method="server/discover", params={"_meta": ENVELOPE}))
        outside.stdin.flush()
        assert json.loads(outside.stdout.readline())["id"] == 1
        (server,) = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text("utf-8").split()
        os.kill(int(server), sent)
        try:
            assert outside.wait(timeout=SOON_S) == 128 + sent
            assert outside.stderr.read() == ""
        finally:
            outside.kill()


@pytest.mark.skipif(os.name == "nt", reason="POSIX terminals")
def test_a_person_who_starts_it_in_a_terminal_is_told_what_it_waits_for():
    import pty

    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "inferplan.server"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as server:
        assert server.stderr
        line = server.stderr.readline()
        server.kill()
    os.close(leader)
    os.close(follower)
    assert "inferplan call run_preset" in line
    assert "Ctrl-C" in line


@pytest.mark.anyio
async def test_the_sdk_client_is_served_over_stdio(era: Any, flags: tuple[str, ...]):
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "inferplan.server", *flags])
    async with Client(parameters, mode=era) as client:
        assert len((await client.list_tools()).tools) == 6
        result = await client.call_tool("run_preset", {"preset": "production", "concurrent_users": 200})
        assert result.structured_content is not None
        assert result.structured_content["preset"] == "production"
