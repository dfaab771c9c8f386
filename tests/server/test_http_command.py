"""`inferplan http` as a process: its flags, its workers, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from http_server import LISTENING, HttpServer, http_server
from inferplan.server.http.command import settings_of
from inferplan.server.http.tokens import LONGEST_FILE
from load.fuzz_http import fuzz

TOKEN = "of-a-file-that-the-test-writes"  # noqa: S105
PATIENCE_S = 120
STDERR = 2
"""A busy machine is no reason to fail."""
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
JSON = {"Content-Type": "application/json", "Accept": "application/json"}


def command(*flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "inferplan.server", "http", *flags],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with http_server() as running:
        yield running


@pytest.mark.anyio
async def test_a_client_is_answered_over_the_network(server: HttpServer, era: Any):
    async with Client(server.url, mode=era) as client:
        result = await client.call_tool("estimate_vram", {"model": "70B", "precision": "fp8"})
        assert result.structured_content is not None
        assert result.structured_content["weights_gb"] == 70


def test_the_log_is_json_and_says_where_the_server_listens(server: HttpServer):
    assert server.entries(LISTENING)[0]["url"] == f"http://127.0.0.1:{server.port}/mcp"
    for line in server.log:
        assert {"time", "level", "logger", "message", "pid"} <= set(json.loads(line))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_400_and_the_next_client_is_served(server: HttpServer, sent: bytes):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(sent)
        assert raw.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 421")
    assert httpx2.post(server.url, content=PING, headers=JSON, timeout=PATIENCE_S).json()["result"] == {}


@pytest.mark.anyio
async def test_broken_bytes_get_a_protocol_error_and_harm_nothing(server: HttpServer):
    verdicts, wrong = await fuzz(server, requests=300, seed=2)
    assert not wrong
    assert {"200", "400", "421"} <= set(verdicts)


def test_a_caller_who_leaves_in_the_middle_is_no_error_of_the_server(server: HttpServer):
    before = len(server.entries("request"))
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n")
        assert raw.recv(12) == b"HTTP/1.1 100"
    assert server.wait_for("request", times=before + 1)["status"] == 499
    assert not [line for line in server.log if '"level":"error"' in line]


def test_a_call_whose_caller_left_is_given_up():
    """It was calculated to its end, while those who stayed or asked again had to wait."""
    search = {"model": "gpt-oss 120b", "gpu": "any", "concurrent_users": 1_000_000}
    call = {"name": "plan_parallelism", "arguments": search}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
    head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in JSON.items())
    with http_server() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"{head}\r\n".encode() + body)
        left = server.wait_for("request")
        assert (left["status"], left.get("outcome", "cancelled")) == (499, "cancelled")
        assert server.end() == 0
        assert "Traceback" not in "".join(server.log)


def test_an_answer_under_way_is_finished_before_the_end():
    with http_server() as server, socket.create_connection(("127.0.0.1", server.port)) as raw:
        head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: {len(PING)}\r\n"
        raw.sendall(head.encode() + b"Content-Type: application/json\r\nAccept: application/json\r\n\r\n")
        assert raw.recv(12) == b"HTTP/1.1 100"
        server.process.terminate()
        server.wait_for("Shutting down")
        raw.sendall(PING)
        answer = raw.makefile("rb").read()
        assert b"HTTP/1.1 200" in answer
        assert b"connection: close" in answer.lower()
        assert b'"result":{}' in answer
        assert server.end() == 0
        assert "Traceback" not in "".join(server.log)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_kept_connection_is_told_of_the_end_with_one_more_answer(workers: int):
    with http_server("--workers", str(workers)) as server:
        server.wait_for(LISTENING, times=workers)
        with httpx2.Client(headers=JSON, timeout=PATIENCE_S) as client:
            kept = client.post(server.url, content=PING)
            assert "connection" not in kept.headers
            server.process.terminate()
            server.wait_for("Shutting down", times=workers)
            told = client.post(server.url, content=PING)
            assert (told.status_code, told.headers["connection"]) == (200, "close")
            with pytest.raises(httpx2.ConnectError):
                client.post(server.url, content=PING)
        assert server.end() == 0


def test_a_kept_connection_on_which_nobody_asks_does_not_hold_up_the_end():
    with http_server() as server, socket.create_connection(("127.0.0.1", server.port)) as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert idle.recv(12) == b"HTTP/1.1 200"
        server.process.terminate()
        assert idle.makefile("rb").read().endswith(b'{"status":"ok"}')
        assert server.end() == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, *([signal.SIGHUP] if os.name == "posix" else [])])
def test_ctrl_c_and_a_terminal_that_closes_end_it_like_a_request_to_terminate(sent: signal.Signals):
    with http_server() as server:
        server.process.send_signal(sent)
        assert server.process.wait() == 0
        assert server.entries("Shutting down")


def test_a_worker_that_dies_is_replaced_and_its_counts_are_kept():
    with http_server("--workers", "2") as server:
        first, second = (server.wait_for(LISTENING, times=n)["pid"] for n in (1, 2))
        assert first != second
        assert httpx2.post(server.url, content=PING, headers=JSON, timeout=PATIENCE_S).json()["result"] == {}
        os.kill(first, signal.SIGKILL)
        third = server.wait_for(LISTENING, times=3)["pid"]
        assert third not in (first, second)
        assert httpx2.post(server.url, content=PING, headers=JSON, timeout=PATIENCE_S).json()["result"] == {}
        exposed = httpx2.get(server.url.replace("/mcp", "/metrics"), timeout=PATIENCE_S).text
        assert 'inferplan_calls_total{method="ping",name="",outcome="answered"} 2.0' in exposed
        assert server.end() == 0
    for pid in (second, third):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="connections are shared out by Linux")
def test_a_crowd_is_shared_out_among_the_workers_whichever_wakes_first():
    health = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with http_server("--workers", "2") as server, ExitStack() as opened:
        asleep, awake = (server.wait_for(LISTENING, times=n)["pid"] for n in (1, 2))
        os.kill(asleep, signal.SIGSTOP)
        crowd = [opened.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(200)]
        for connection in crowd:
            connection.sendall(health)
        # By chance one of two gets fewer than 50 of 200 once in 10^12 times.
        server.wait_for("request", times=50, pid=awake)
        os.kill(asleep, signal.SIGCONT)
        assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in crowd)
        assert len(server.entries("request", pid=asleep)) >= 50
        assert server.end() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at open files in /proc")
def test_who_watches_over_workers_hears_at_once_of_one_that_dies_while_it_is_asked():
    """It holds one end of each pipe (a worker has both), where uvicorn holds both, and waited for 30 s."""
    with http_server("--workers", "2") as server:
        first, second = (server.wait_for(LISTENING, times=n)["pid"] for n in (1, 2))
        os.kill(first, signal.SIGKILL)
        server.wait_for(LISTENING, times=3)
        assert len(_sockets(second) & _sockets(server.process.pid)) == 1
        assert server.end() == 0


def _sockets(pid: int) -> set[str]:
    """The sockets that a process has opened, ends of pipes to its workers among them."""
    files = (file for file in Path(f"/proc/{pid}/fd").iterdir() if int(file.name) > STDERR)
    return {name for file in files if (name := str(file.readlink())).startswith("socket:")}


def test_a_port_at_which_several_workers_listen_is_taken():
    with http_server("--workers", "2") as server:
        server.wait_for(LISTENING, times=2)
        for workers in ("1", "2"):
            done = command("--port", str(server.port), "--workers", workers)
            assert (done.returncode, "cannot listen on 127.0.0.1 port" in done.stderr) == (2, True)
        assert server.end() == 0


def test_workers_do_not_outlive_the_process_that_watches_over_them():
    with http_server("--workers", "2") as server:
        server.wait_for(LISTENING, times=2)
        server.process.kill()
        assert server.is_silent()


def test_a_model_hub_is_never_asked(server: HttpServer):
    call = {"name": "estimate_vram", "arguments": {"model": "nobody/nothing-1b"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    result = httpx2.post(server.url, json=body, headers=JSON, timeout=PATIENCE_S).json()["result"]
    assert result["isError"]
    assert "HF_HUB_OFFLINE" in result["content"][0]["text"]


def test_a_token_opens_a_server_that_others_can_reach(tmp_path: Path):
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    with http_server("--host", "0.0.0.0", "--token-file", str(file)) as server:  # noqa: S104 - with a token
        url = f"http://127.0.0.1:{server.port}/mcp"
        assert httpx2.post(url, content=PING, headers=JSON, timeout=PATIENCE_S).status_code == 401
        headers = {**JSON, "Authorization": f"Bearer {TOKEN}"}
        assert httpx2.post(url, content=PING, headers=headers, timeout=PATIENCE_S).status_code == 200
        assert server.end() == 0
        assert TOKEN not in "".join(server.log)


def test_a_server_that_is_to_log_no_requests_logs_none_and_says_the_rest():
    with http_server("--no-request-log") as server:
        assert httpx2.post(server.url, content=PING, headers=JSON, timeout=PATIENCE_S).status_code == 200
        assert server.end() == 0
        assert (server.entries("request"), len(server.entries(LISTENING))) == ([], 1)


def test_workers_that_come_later_take_the_tokens_of_the_start_whatever_became_of_the_file(tmp_path: Path):
    """One that came between two writes of the file ended the server; or it knew other tokens than the others did."""
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    with http_server("--workers", "2", "--token-file", str(file)) as server:
        server.wait_for(LISTENING, times=2)
        file.write_text("", encoding="utf-8")
        for n in (1, 2):
            os.kill(server.wait_for(LISTENING, times=n)["pid"], signal.SIGKILL)
            server.wait_for(LISTENING, times=n + 2)
        headers = {**JSON, "Authorization": f"Bearer {TOKEN}"}
        assert httpx2.post(server.url, content=PING, headers=headers, timeout=PATIENCE_S).status_code == 200
        assert server.end() == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="has no IPv6")
@pytest.mark.parametrize("host", ["::", "[::]"])
def test_addresses_of_ipv6_are_bound_and_answered_for_however_they_are_written(tmp_path: Path, host: str):
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    names = ("--allowed-host", "FD00::1", "--allowed-host", "[fd00::2]")
    with http_server("--host", host, "--token-file", str(file), *names) as server:
        assert server.url == f"http://[::]:{server.port}/mcp"
        headers = {**JSON, "Authorization": f"Bearer {TOKEN}"}
        url = f"http://[::1]:{server.port}/mcp"
        for name in (f"[::1]:{server.port}", "[fd00::1]", "[fd00::1]:8000", "[FD00::2]:80"):
            asked = httpx2.post(url, content=PING, headers={**headers, "Host": name}, timeout=PATIENCE_S)
            assert asked.status_code == 200, name
        assert httpx2.post(url, content=PING, headers=JSON, timeout=PATIENCE_S).status_code == 401


def test_this_machine_alone_may_be_named_in_brackets():
    settings = settings_of(["--host", "[::1]"])
    assert settings.host == "::1"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--host", "0.0.0.0"), "--token-file"),  # noqa: S104
        (("--host", "::"), "--no-auth"),
        (("--host", "[::]"), "--no-auth"),
        (("--host", "fd00::1"), "--token-file"),
        (("--host", "planner.example"), "--token-file"),
        (("--port", "99999"), "from 0 to 65535"),
        (("--port", "http"), "whole number"),
        (("--port", "000000000099999"), "whole number"),
        (("--workers", "0"), "from 1 to 64"),
        (("--allowed-host", "https://planner.example"), "planner.example:8443"),
        (("--allowed-host", "fe80::1%eth0"), "planner.example:8443"),
        (("--allowed-origin", "*"), "https://chat.example"),
        (("--allowed-origin", "https://chat.example/path"), "without a path"),
        (("--token-file", "no-such-file"), "cannot be read"),
        (("--token-file", "tokens", "--no-auth"), "exclude each other"),
        (("--host", "127.0.0.1", "--hots", "x"), "--hots"),
        (("--host", "no.such.host.invalid", "--no-auth"), "cannot listen"),
        (("--host", "planner..example", "--no-auth"), "cannot listen on planner..example port 8000: No name of a host"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(flags: tuple[str, ...], said: str):
    done = command(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no token"),
        ("\n\n", "has no token"),
        ("ok\nt\u00f6ken\n", "line 2"),
        ("a" * (LONGEST_FILE + 1), "more than 1,048,576 bytes"),
    ],
)
def test_a_file_without_usable_tokens_is_refused_and_not_repeated(tmp_path: Path, text: str, said: str):
    file = tmp_path / "tokens"
    file.write_text(text, encoding="utf-8")
    done = command("--token-file", str(file))
    assert done.returncode == 2
    assert said in done.stderr
    assert "ken\n" not in done.stderr.replace("token\n", "")


def test_a_port_that_is_taken_is_said_to_be():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1 port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_its_extra_it_says_how_to_install_it():
    code = (
        "import sys; sys.modules['prometheus_client'] = None; import inferplan.server.__main__ as m; m.main(['http'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert "'.[http]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_names_every_flag_and_starts_nothing():
    done = command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for flag in ("host", "port", "workers", "token-file", "no-auth", "allowed-host", "allowed-origin"):
        assert f"--{flag}" in done.stdout
    assert "\n  inferplan http --host 0.0.0.0 --token-file tokens " in done.stdout


def test_serving_stdio_imports_nothing_of_it():
    code = (
        "import sys, inferplan.server.app as app, inferplan.server.__main__; app.create_server(); "
        "print([m for m in sys.modules if m.startswith(('inferplan.server.http', 'prometheus_client'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"
