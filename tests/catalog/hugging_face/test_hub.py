"""Reading a model from a hub: what is read, what is never asked for, and the sentence for everything that fails."""

import asyncio
import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.hugging_face._hub_tensors import HeaderProblem, class_of, tensors_of
from inferplan.catalog.hugging_face.hub import (
    Bounds,
    Hub,
    HubProblem,
    Repository,
    Stored,
    StoredTensors,
    forget,
    read_repository,
)
from inferplan.catalog.hugging_face.names import is_repository_id
from loopback_hub import COMMIT, INDEX, LoopbackHub, Tensors, answer, loopback_hub, safetensors, with_header

ID = "someone/tiny-llama"
CONFIG = {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 8}
AT_MAIN = f"/{ID}/resolve/main"
AT_COMMIT = f"/{ID}/resolve/{COMMIT}"
TOTALS = f"/api/models/{ID}?expand[]=safetensors"
ELSE = "or pass the text of its config.json instead"
TINY: Tensors = {
    "model.embed_tokens.weight": ("BF16", [32, 8]),
    "model.layers.0.input_layernorm.weight": ("BF16", [8]),
    "model.layers.0.self_attn.q_proj.weight": ("BF16", [8, 8]),
    "model.layers.0.self_attn.o_proj.weight": ("BF16", [8, 8]),
    "model.layers.0.mlp.up_proj.weight": ("BF16", [16, 8]),
    "lm_head.weight": ("BF16", [32, 8]),
}
FIRST = dict(list(TINY.items())[:3])
SECOND = dict(list(TINY.items())[3:])


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    forget()
    yield
    forget()


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with loopback_hub() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[LoopbackHub]:
    with loopback_hub() as running:
        yield running


def read(hub: LoopbackHub, repo_id: str = ID, **bounds: float) -> Repository:
    return read_repository(repo_id, hub=Hub(endpoint=hub.url, bounds=Bounds(**bounds)))  # pyright: ignore[reportArgumentType]


def problem(hub: LoopbackHub, repo_id: str = ID, **bounds: float) -> str:
    with pytest.raises(HubProblem) as caught:
        read(hub, repo_id, **bounds)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def stored(tensors: Tensors, *, hub: LoopbackHub, config: object = CONFIG) -> StoredTensors:
    hub.publish(ID, config, only=tensors)
    found = read(hub).tensors
    assert found is not None
    return found


# What is read


def test_a_repository_gives_the_text_of_its_config_and_the_commit_it_is_of(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    repository = read(hub)
    assert json.loads(repository.config) == CONFIG
    assert (repository.id, repository.revision, repository.notes) == (ID, COMMIT, ())


def test_tensors_are_weighed_by_class(hub: LoopbackHub) -> None:
    found = stored(TINY, hub=hub)
    assert found.mixers == Stored(bytes=256, parameters=128)
    assert found.ffn == Stored(bytes=256, parameters=128)
    assert found.rest == Stored(bytes=2 * (256 + 8 + 256), parameters=256 + 8 + 256)
    assert found.total == Stored(bytes=1552, parameters=776)
    assert found.formats == {"BF16": 1552}


def test_an_index_leads_to_the_headers_of_all_its_files(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, first=FIRST, second=SECOND)
    assert (found := read(hub).tensors) is not None
    assert found.total == Stored(bytes=1552, parameters=776)


def test_only_config_index_and_headers_are_asked_for_and_never_a_weight(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, first=TINY, second={"model.norm.weight": ("BF16", [8])})
    read(hub)
    assert hub.paths[:2] == [f"{AT_MAIN}/config.json", f"{AT_COMMIT}/{INDEX}"]
    spans: dict[str, list[str | None]] = {}
    for one in hub.asked[2:]:
        spans.setdefault(one.path, []).append(one.span)
    names = [f"{AT_COMMIT}/model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    ends = [7 + int.from_bytes(hub.files[name][:8], "little") for name in names]
    assert spans == {name: ["bytes=0-7", f"bytes=8-{end}"] for name, end in zip(names, ends, strict=True)}


def test_a_single_file_is_read_where_there_is_no_index(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    read(hub)
    file = f"{AT_COMMIT}/model.safetensors"
    assert hub.paths == [f"{AT_MAIN}/config.json", f"{AT_COMMIT}/{INDEX}", file, file]


def test_scales_count_as_bytes_of_the_matrix_they_belong_to(hub: LoopbackHub) -> None:
    found = stored(
        {
            "model.layers.0.self_attn.q_proj.weight": ("F8_E4M3", [128, 128]),
            "model.layers.0.self_attn.q_proj.weight_scale_inv": ("F32", [1, 1]),
            "model.layers.0.mlp.experts.0.w1.weight": ("F4", [32, 32]),
            "model.layers.0.mlp.experts.0.w1.exponents": ("F8_E8M0", [32, 1]),
        },
        hub=hub,
    )
    assert found.mixers == Stored(bytes=128 * 128 + 4, parameters=128 * 128)
    assert found.routed_experts == Stored(bytes=512 + 32, parameters=1024)
    assert found.routed_experts.bits_per_parameter() == 4.25
    assert found.mixers.bits_per_parameter() == pytest.approx(8, rel=1e-3)


def test_packed_weights_have_bytes_and_leave_their_number_to_the_architecture(hub: LoopbackHub) -> None:
    found = stored(
        {
            "model.layers.0.mlp.experts.gate_up_proj_blocks": ("U8", [4, 64, 2, 16]),
            "model.layers.0.mlp.experts.gate_up_proj_scales": ("U8", [4, 64, 2]),
            "model.layers.0.self_attn.q_proj.qweight": ("I32", [8, 64]),
            "model.layers.0.self_attn.q_proj.qzeros": ("I32", [1, 8]),
            "model.layers.0.self_attn.q_proj.scales": ("F16", [1, 64]),
            "model.layers.0.mlp.router.weight": ("BF16", [4, 64]),
        },
        hub=hub,
    )
    assert found.routed_experts == Stored(bytes=4 * 64 * (32 + 2), parameters=None)
    assert found.routed_experts.bits_per_parameter(4 * 64 * 64) == 4.25
    assert found.mixers == Stored(bytes=8 * 64 * 4 + 8 * 4 + 64 * 2, parameters=None)
    assert found.rest == Stored(bytes=512, parameters=256)
    assert found.total.parameters is None


def test_blocks_past_the_last_layer_predict_further_tokens(hub: LoopbackHub) -> None:
    more = {"model.layers.1.mlp.experts.0.up_proj.weight": ("BF16", [8, 8])}
    assert stored({**TINY, **more}, hub=hub).multi_token == Stored(bytes=128, parameters=64)


def test_the_layers_of_a_model_with_vision_are_those_of_its_text_decoder(hub: LoopbackHub) -> None:
    config = {"text_config": {"num_hidden_layers": 2}, "vision_config": {"num_hidden_layers": 9}}
    tensors: Tensors = {
        "visual.blocks.5.attn.qkv.weight": ("BF16", [8]),
        "model.language_model.layers.1.self_attn.q_proj.weight": ("BF16", [4]),
        "model.language_model.layers.2.self_attn.q_proj.weight": ("BF16", [2]),
    }
    found = stored(tensors, hub=hub, config=config)
    assert (found.vision.parameters, found.mixers.parameters, found.multi_token.parameters) == (8, 4, 2)


def test_tensors_without_a_known_place_are_counted_and_named_in_a_note(hub: LoopbackHub) -> None:
    strange: Tensors = {"model.layers.0.oddity\n<b>": ("F32", [4]), "plain": ("F32", [1])}
    hub.publish(ID, CONFIG, only={**TINY, **strange})
    repository = read(hub)
    assert repository.tensors
    assert repository.tensors.other == Stored(bytes=20, parameters=5)
    (note,) = repository.notes
    assert note == ("20 bytes are in tensors whose place was not recognised, such as model.layers.0.oddity??b?, plain")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.layers.0.self_attn.q_norm.weight", "mixers"),
        ("model.layers.0.linear_attn.A_log", "mixers"),
        ("model.layers.0.conv.in_proj.weight", "mixers"),
        ("model.layers.0.mamba.in_proj.weight", "mixers"),
        ("backbone.layers.0.mixer.in_proj.weight", "mixers"),
        ("transformer.h.0.attn.c_attn.weight", "mixers"),
        ("transformer.h.0.self_attention.query_key_value.weight", "mixers"),
        ("transformer.blocks.0.norm_attn_norm.attn.Wqkv.weight", "mixers"),
        ("model.layers.0.mlp.gate_proj.weight", "ffn"),
        ("model.layers.0.mlp.shared_expert.up_proj.weight", "ffn"),
        ("model.layers.0.mlp.shared_expert_gate.weight", "ffn"),
        ("model.layers.0.mlp.shared_experts.up_proj.weight", "ffn"),
        ("backbone.layers.0.mixer.shared_experts.up_proj.weight", "ffn"),
        ("backbone.layers.0.mixer.down_proj.weight", "ffn"),
        ("language_model.model.layers.0.feed_forward.shared_expert.up_proj.weight", "ffn"),
        ("transformer.h.0.mlp.c_fc.weight", "ffn"),
        ("model.layers.0.mlp.experts.12.down_proj.weight", "routed_experts"),
        ("model.layers.0.block_sparse_moe.experts.3.w1.weight", "routed_experts"),
        ("backbone.layers.0.mixer.experts.3.up_proj.weight", "routed_experts"),
        ("language_model.model.layers.0.feed_forward.experts.gate_up_proj", "routed_experts"),
        ("layers.0.ffn.experts.3.w1.weight", "routed_experts"),
        ("model.layers.0.mlp.gate.weight", "rest"),
        ("model.layers.0.mlp.gate.e_score_correction_bias", "rest"),
        ("model.layers.0.block_sparse_moe.gate.weight", "rest"),
        ("backbone.layers.0.mixer.gate.weight", "rest"),
        ("model.layers.0.mlp.router.weight", "rest"),
        ("model.layers.0.pre_feedforward_layernorm.weight", "rest"),
        ("transformer.h.0.ln_1.weight", "rest"),
        ("transformer.wte.weight", "rest"),
        ("transformer.ln_f.bias", "rest"),
        ("model.norm.weight", "rest"),
        ("lm_head.weight", "rest"),
        ("model.embed_tokens_per_layer.weight", "lookup"),
        ("model.visual.blocks.3.mlp.linear_fc1.weight", "vision"),
        ("vision_tower.encoder.layers.0.self_attn.q_proj.weight", "vision"),
        ("multi_modal_projector.linear_1.weight", "vision"),
        ("mtp.layers.0.mlp.experts.3.up_proj.weight", "multi_token"),
        ("model.layers.61.eh_proj.weight", "multi_token"),
        ("per_layer_projection", "other"),
    ],
)
def test_the_common_naming_schemes_are_known(name: str, kind: str) -> None:
    assert class_of(name, layers=61) == kind


def test_what_was_read_is_remembered_and_what_failed_is_not(hub: LoopbackHub) -> None:
    assert "has no config.json" in problem(hub)
    hub.publish(ID, CONFIG, only=TINY)
    first = read(hub)
    asked = len(hub.asked)
    assert read(hub) is first
    assert len(hub.asked) == asked


@pytest.mark.parametrize("is_silent", [False, True])
@pytest.mark.parametrize("totals", [None, {"parameters": {"BF16": 776}, "total": 776}])
def test_sizes_that_may_come_next_time_are_asked_for_again(hub: LoopbackHub, is_silent: bool, totals: object) -> None:  # noqa: FBT001
    hub.publish(ID, CONFIG, only=TINY)
    hub.state(ID, totals)
    hub.answer(ID, INDEX, hub.stay_silent if is_silent else answer(503))
    assert read(hub, silence_seconds=0.2).tensors is None
    del hub.special[f"{AT_COMMIT}/{INDEX}"]
    assert read(hub).tensors


def test_the_same_name_at_another_hub_is_another_repository(hub: LoopbackHub, elsewhere: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    elsewhere.publish(ID, {"other": 1}, only=TINY)
    assert read(hub).config != read(elsewhere).config


def test_a_repository_can_be_read_where_an_event_loop_runs(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)

    async def ask() -> Repository:
        return read(hub)

    assert asyncio.run(ask()).tensors


def test_a_hub_below_a_path_is_read(hub: LoopbackHub) -> None:
    hub.files["/mirror" + AT_MAIN + "/config.json"] = b"{}"
    assert read_repository(ID, hub=Hub(endpoint=f"{hub.url}/mirror")).config == "{}"
    assert all(path.startswith("/mirror/") for path in hub.paths)


# What is stated where headers are not to be had


def test_the_totals_that_the_hub_states_stand_in_for_headers(hub: LoopbackHub, elsewhere: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    hub.state(ID, {"parameters": {"BF16": 700, "F8_E4M3": 76}, "total": 776})
    hub.answer(ID, "model.safetensors", answer(302, Location=f"{elsewhere.url}/blob?signed=1"))
    repository = read(hub)
    assert repository.tensors is None
    assert repository.stated == 776
    (note,) = repository.notes
    assert note == (
        f"the sizes of its tensors were not read: 127.0.0.1:{hub.port} keeps model.safetensors on another host, "
        f"which is not asked; its parameter totals are those that 127.0.0.1:{hub.port} states"
    )
    assert hub.paths[-1] == TOTALS
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "totals",
    [
        None,
        {},
        [],
        {"total": 5},
        {"total": -5, "parameters": {}},
        {"total": 5, "parameters": {"BF16": "5"}},
        {"total": 5, "parameters": {"see http": 5}},
        {"total": "5", "parameters": {"BF16": 5}},
    ],
)
def test_totals_that_are_none_leave_the_config_and_two_notes(hub: LoopbackHub, totals: object) -> None:
    hub.publish(ID, CONFIG)
    hub.state(ID, totals)
    repository = read(hub)
    assert (repository.tensors, repository.stated) == (None, None)
    assert repository.notes == (
        f"the sizes of its tensors were not read: 127.0.0.1:{hub.port} has no model.safetensors",
        f"nor its parameter totals: 127.0.0.1:{hub.port} states none",
    )


def test_totals_are_not_asked_for_where_headers_were_read(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    read(hub)
    assert TOTALS not in hub.paths


# What is refused, each in one sentence


@pytest.mark.parametrize(
    "repo_id",
    [
        "",
        "llama",
        "a/b/c",
        "../b",
        "a/..",
        "a/b..c",
        "a/b--c",
        "a--b/c",
        "-a/b",
        ".a/b",
        "a/.b",
        "a/b.git",
        "a/b-",
        "a-/b",
        "a/b?c=d",
        "a/b#c",
        "a/b%2fc",
        "a\\b",
        "a/b\n",
        "a /b",
        "http://h/a",
        "a@h/b",
        "ä/b",
        f"a/{'b' * 97}",
        "//b",
        "a/",
    ],
)
def test_what_is_no_repository_id_never_causes_a_request(hub: LoopbackHub, repo_id: str) -> None:
    assert not is_repository_id(repo_id)
    assert problem(hub, repo_id) == f'a repository is named "owner/name", as "Qwen/Qwen3-8B"; name one, {ELSE}'
    assert hub.asked == []


@pytest.mark.parametrize(
    "endpoint",
    ["", "ftp://127.0.0.1", "file:///etc", "127.0.0.1", "http://", "http://u:p@127.0.0.1", "http://h:x", "http://h?a"],
)
def test_an_endpoint_that_is_no_web_address_is_refused(endpoint: str) -> None:
    with pytest.raises(HubProblem, match="HF_ENDPOINT is no plain http or https address"):
        read_repository(ID, hub=Hub(endpoint=endpoint))


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (
            401,
            {},
            "config.json of {id} at {host} is private, gated or not there; check the name, {access}, {may}",
        ),
        (
            401,
            {"X_Error_Code": "GatedRepo"},
            "access to config.json of {id} at {host} is gated; {access}, {may}",
        ),
        (
            403,
            {},
            "access to config.json of {id} at {host} is gated; {access}, {may}",
        ),
        (404, {}, "{host} has no config.json of {id}; check the name, {may}"),
        (429, {"Retry_After": "30"}, "{host} is asked too often; wait 30 s, {may}"),
        (429, {"Retry_After": "<b>"}, "{host} is asked too often; wait a while, {may}"),
        (429, {"Retry_After": "86400"}, "{host} is asked too often; wait 86400 s, {may}"),
        (429, {"Retry_After": "999999"}, "{host} is asked too often; wait a while, {may}"),
        (503, {}, "{host} has trouble of its own (status 503); try again later, {may}"),
        (418, {}, "{host} answers for config.json of {id} with status 418; check HF_ENDPOINT, {may}"),
    ],
)
def test_a_refusal_says_what_to_do(hub: LoopbackHub, status: int, headers: dict[str, str], sentence: str) -> None:
    hub.answer(ID, "config.json", answer(status, b"<html>secret</html>", **headers))
    access = "set HF_TOKEN to the token of an account that has access"
    assert problem(hub) == sentence.format(id=f'"{ID}"', host=f"127.0.0.1:{hub.port}", access=access, may=ELSE)
    assert hub.paths == [f"{AT_MAIN}/config.json"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b"\xff\xfe{}", b"[" * 50_000, b"{" + b"1" * 5000])
def test_a_config_that_is_no_json_object_is_refused(hub: LoopbackHub, body: bytes) -> None:
    hub.answer(ID, "config.json", answer(200, body))
    assert "is not a JSON object; check HF_ENDPOINT" in problem(hub)


def test_a_config_that_is_too_large_is_refused(hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", answer(200, b'{"a": "' + b"a" * 2**20 + b'"}'))
    assert problem(hub) == f'config.json of "{ID}" is larger than the 1,048,576 bytes that are read of it; {ELSE[3:]}'


def test_a_config_of_just_the_limit_is_read(hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", answer(200, b"{" + b" " * (2**20 - 2) + b"}"))
    assert len(read(hub).config) == 2**20


def test_a_compressed_config_is_read(hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", answer(200, gzip.compress(json.dumps(CONFIG).encode()), Content_Encoding="gzip"))
    assert json.loads(read(hub).config) == CONFIG


def test_the_limit_holds_for_what_a_compressed_answer_unpacks_to(hub: LoopbackHub) -> None:
    bomb = gzip.compress(bytes(2**25))
    hub.answer(ID, "config.json", answer(200, bomb, Content_Encoding="gzip"))
    tracemalloc.start()
    said = problem(hub)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "is larger than the 1,048,576 bytes" in said
    assert peak < 2**23


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", b"no gzip"), ("gzip", gzip.compress(b"{}", mtime=0)[:-9]), ("br", b"{}"), ("gzip, gzip", b"{}")],
)
def test_an_answer_that_cannot_be_unpacked_is_refused(hub: LoopbackHub, coding: str, body: bytes) -> None:
    hub.answer(ID, "config.json", answer(200, body, Content_Encoding=coding))
    assert problem(hub).endswith(ELSE[3:])


def test_a_body_that_breaks_off_is_refused(hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", lambda request: (answer(200, b"{}", Content_Length="9")(request), close(request))[0])
    assert "broke off or is not HTTP; try again" in problem(hub)


def test_what_is_not_http_is_refused(hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", lambda request: (request.wfile.write(b"hello\r\n\r\n"), close(request))[1])
    assert "broke off or is not HTTP; try again" in problem(hub)


def close(request: object) -> None:
    vars(request)["close_connection"] = True


def test_no_connection_is_said_and_what_to_do_without_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(HubProblem) as caught:
        read_repository(ID, hub=Hub(endpoint=f"http://127.0.0.1:{port}"))
    assert str(caught.value) == f"no connection to 127.0.0.1:{port}; connect to the network, {ELSE}"


def test_a_silent_hub_is_left(hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", hub.stay_silent)
    assert problem(hub, silence_seconds=0.1) == f"127.0.0.1:{hub.port} was silent for 0.1 s; try again, {ELSE}"


@pytest.mark.parametrize("after", [b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: "])
def test_a_hub_that_drips_is_left_at_the_time_limit(hub: LoopbackHub, after: bytes) -> None:
    hub.answer(ID, "config.json", hub.drip(after=after))
    assert problem(hub, seconds=0.3) == (f"127.0.0.1:{hub.port} did not answer in full within 0.3 s; try again, {ELSE}")


def test_a_name_that_is_looked_up_for_ever_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        over.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(HubProblem, match=r"hub\.invalid did not answer in full within 0\.1 s"):
        read_repository(ID, hub=Hub(endpoint="http://hub.invalid", bounds=Bounds(seconds=0.1)))
    over.set()
    for thread in threading.enumerate():
        if thread.name == "inferplan-hub":
            thread.join()


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_hub_is_followed(hub: LoopbackHub, status: int) -> None:
    hub.publish("someone/new-name", CONFIG, only=TINY)
    hub.answer(ID, "config.json", answer(status, Location="/someone/new-name/resolve/main/config.json"))
    assert json.loads(read(hub).config) == CONFIG


@pytest.mark.parametrize(
    "scheme",
    [
        "http://127.0.0.1:{other}",
        "http://localhost:{port}",
        "https://127.0.0.1:{port}",
        "//localhost:{port}",
        "file://127.0.0.1:{port}",
        "http://127.0.0.1:{port}@x:{other}",
    ],
)
def test_a_redirect_to_another_host_port_or_scheme_is_not_followed(
    hub: LoopbackHub, elsewhere: LoopbackHub, scheme: str
) -> None:
    elsewhere.publish(ID, CONFIG, only=TINY)
    target = scheme.format(port=hub.port, other=elsewhere.port)
    hub.answer(ID, "config.json", answer(307, Location=f"{target}{AT_MAIN}/config.json"))
    assert "on another host, which is not asked" in problem(hub)
    assert elsewhere.asked == []
    assert len(hub.asked) == 1


@pytest.mark.parametrize("headers", [{}, {"Location": f"{AT_MAIN}/config.json"}])
def test_redirects_in_a_circle_end(hub: LoopbackHub, headers: dict[str, str]) -> None:
    hub.answer(ID, "config.json", answer(302, b"", **headers))
    assert "in a circle" in problem(hub)
    assert len(hub.asked) == 5


def test_the_token_is_shown_to_the_hub(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    asked = Hub(endpoint=hub.url, token="t0k3n")  # noqa: S106
    read_repository(ID, hub=asked)
    assert {one.token for one in hub.asked} == {"Bearer t0k3n"}
    assert "t0k3n" not in repr(asked)


def test_a_token_that_no_header_can_hold_is_a_problem_and_is_not_repeated(hub: LoopbackHub) -> None:
    with pytest.raises(HubProblem) as caught:
        read_repository(ID, hub=Hub(endpoint=hub.url, token="t0k\r\n3n ä"))  # noqa: S106
    assert "t0k" not in str(caught.value)


# Headers that are not to be had, or lie


def entry(form: object = "BF16", shape: object = (2,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": form, "shape": shape, "data_offsets": offsets}


def header(**tensors: object) -> bytes:
    return json.dumps(tensors).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (with_header(b"{}", length=2**63 + 5), "longer than 33,554,432 bytes"),
        (with_header(b"{}", length=2**25 + 1), "longer than 33,554,432 bytes"),
        (with_header(b"{}", length=3), "longer than the file"),
        (with_header(b"{}", length=0), "longer than the file"),
        (b"short", "does not serve the parts"),
        (b"", "status 416"),
        (with_header(b"no json"), "its header is not JSON"),
        (with_header(b"[1, 2]"), "its header is not JSON"),
        (with_header(b'{"a":' * 100_000), "its header is not JSON"),
        (with_header(header(a=entry("F5")), bytes(4)), "a format that is not known"),
        (with_header(header(a=entry(None)), bytes(4)), "lacks format, shape or offsets"),
        (with_header(header(a=7), bytes(4)), "lacks format, shape or offsets"),
        (with_header(header(a=entry(shape="2")), bytes(4)), "lacks format, shape or offsets"),
        (with_header(header(a=entry(shape=[-2, -1])), bytes(4)), "a shape that cannot be"),
        (with_header(header(a=entry(shape=[True, 2])), bytes(4)), "a shape that cannot be"),
        (with_header(header(a=entry(shape=[2**60, 0], offsets=[0, 0]))), "a shape that cannot be"),
        (with_header(header(a=entry(offsets=[-4, 0])), bytes(4)), "do not fit its format and shape"),
        (with_header(header(a=entry(offsets=[4, 0])), bytes(4)), "do not fit its format and shape"),
        (with_header(header(a=entry(offsets=[0, 6])), bytes(6)), "do not fit its format and shape"),
        (with_header(header(a=entry(offsets=[0, 4.0])), bytes(4)), "lacks format, shape or offsets"),
        (with_header(header(a=entry(), b=entry()), bytes(4)), "overlap, leave holes or do not fill the file"),
        (with_header(header(a=entry(), b=entry(offsets=[6, 10])), bytes(10)), "overlap, leave holes"),
        (with_header(header(a=entry()), bytes(3)), "do not fill the file"),
        (with_header(header(a=entry()), bytes(5)), "do not fill the file"),
        (with_header(header(**{"a" * 301: entry()}), bytes(4)), "a tensor's name is longer than 300 characters"),
    ],
)
def test_a_header_that_lies_is_left_out_with_a_note(hub: LoopbackHub, content: bytes, why: str) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    hub.replace(ID, "model.safetensors", content)
    hub.state(ID, {"parameters": {"BF16": 776}, "total": 776})
    repository = read(hub)
    assert repository.tensors is None
    assert repository.stated
    assert why in repository.notes[0]


def test_a_header_beyond_the_limit_is_not_asked_for(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    hub.replace(ID, "model.safetensors", with_header(b"{}", length=2**40))
    read(hub)
    assert [one.span for one in hub.asked if one.span] == ["bytes=0-7"]


def test_all_headers_together_have_a_limit(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, first=FIRST, second=SECOND)
    assert "its headers are larger than the 500 bytes that are read" in read(hub, headers_bytes=500).notes[0]


def test_a_hub_that_serves_files_only_whole_is_not_read_on(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    hub.answer(ID, "model.safetensors", answer(200, safetensors(TINY)))
    assert "serves model.safetensors as a whole only" in read(hub).notes[0]


@pytest.mark.parametrize("where", ["bytes 0-7/*", "bytes 8-15/99", "bytes 0-6/99", "", "bytes 0-7/²"])
def test_another_part_than_was_asked_for_is_not_taken(hub: LoopbackHub, where: str) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    hub.answer(ID, "model.safetensors", answer(206, bytes(8), Content_Range=where))
    assert "does not serve the parts of model.safetensors that it was asked for" in read(hub).notes[0]


@pytest.mark.parametrize(
    "index",
    [
        b"[]",
        b"{}",
        b'{"weight_map": []}',
        b'{"weight_map": {}}',
        b'{"weight_map": {"a": 7}}',
        b'{"weight_map": {"a": "../../api/secrets.safetensors"}}',
        b'{"weight_map": {"a": "http://h/x.safetensors"}}',
        b'{"weight_map": {"a": "pytorch_model.bin"}}',
        b'{"weight_map": {"a": "x.safetensors?a"}}',
    ],
)
def test_an_index_that_names_anything_but_its_files_leads_nowhere(hub: LoopbackHub, index: bytes) -> None:
    hub.publish(ID, CONFIG)
    hub.replace(ID, INDEX, index)
    assert f"{INDEX} does not name its files" in read(hub).notes[0]
    assert hub.paths == [f"{AT_MAIN}/config.json", f"{AT_COMMIT}/{INDEX}", TOTALS]


def test_more_files_than_the_limit_are_not_read(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG)
    places = {f"t{number}": f"m-{number}.safetensors" for number in range(201)}
    hub.replace(ID, INDEX, json.dumps({"weight_map": places}).encode())
    assert f"{INDEX} names 201 files, more than the 200 that are read" in read(hub).notes[0]
    assert len(hub.asked) == 3


def test_an_index_that_is_too_large_is_left_out(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, first=FIRST, second=SECOND)
    assert f"{INDEX} is larger than the 100 bytes that are read of it" in read(hub, index_bytes=100).notes[0]


def test_one_file_that_is_missing_leaves_the_others_out_too(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, first=FIRST, second=SECOND)
    hub.answer(ID, "model-00002-of-00002.safetensors", answer(404))
    repository = read(hub)
    assert repository.tensors is None
    assert "has no model-00002-of-00002.safetensors" in repository.notes[0]


def test_headers_that_drip_leave_time_for_the_totals(hub: LoopbackHub) -> None:
    hub.publish(ID, CONFIG, only=TINY)
    hub.state(ID, {"parameters": {"BF16": 776}, "total": 776})
    hub.answer(ID, "model.safetensors", hub.drip(after=b"HTTP/1.1 206 OK\r\nX-Long: "))
    repository = read(hub, seconds=1.5)
    assert "did not answer in full within 1 s" in repository.notes[0]
    assert repository.stated


TAMPERED = with_header(json.dumps({"a": entry(), "b": entry("F4", [4, 2], [4, 8])}).encode())[8:]


@given(st.integers(0, len(TAMPERED) - 1), st.binary(max_size=3), st.integers(0, 8))
def test_a_header_tampered_with_is_read_or_refused_and_nothing_else(at: int, patch: bytes, data_bytes: int) -> None:
    try:
        tensors = tensors_of(TAMPERED[:at] + patch + TAMPERED[at + len(patch) :], data_bytes=data_bytes)
    except HeaderProblem:
        return
    assert sum(tensor.bytes for tensor in tensors) == data_bytes


# The environment


def test_without_the_extra_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubProblem) as caught:
        read_repository(ID)
    assert str(caught.value) == (
        f"reading a model hub needs the extra `hub`: pip install '.[hub]' in the clone, {ELSE}"
    )


def in_a_process(script: str, home: Path, **environment: str) -> str:
    """What a script prints in a process of its own, which may warn of nothing."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**inherited, "HF_HOME": str(home), **environment},
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return done.stdout


SCRIPT = f"""
from inferplan.catalog.hugging_face.hub import HubProblem, read_repository
try:
    print(read_repository({ID!r}).tensors.total.bytes)
except HubProblem as problem:
    print(problem)
"""


def test_endpoint_and_token_come_from_the_environment_and_nothing_is_written(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.publish(ID, CONFIG, first=FIRST, second=SECOND)
    environment = {"HF_ENDPOINT": f"{hub.url}/", "HF_TOKEN": " t0k3n\n"}
    assert in_a_process(SCRIPT, tmp_path, **environment) == "1552\n"
    assert {one.token for one in hub.asked} == {"Bearer t0k3n"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_no_hub_is_asked(hub: LoopbackHub, tmp_path: Path, name: str) -> None:
    said = in_a_process(SCRIPT, tmp_path, HF_ENDPOINT=hub.url, **{name: "1"})
    assert said == f"no model hub is asked while HF_HUB_OFFLINE is set; unset it, {ELSE}\n"
    assert hub.asked == []


def test_the_libraries_of_the_extra_are_loaded_only_when_a_hub_is_asked(tmp_path: Path) -> None:
    loaded = "{'httpx2', 'huggingface_hub', 'tqdm'} & {*sys.modules}"
    script = f"import sys; import inferplan.catalog.hugging_face.hub; print({loaded})"
    assert in_a_process(script, tmp_path) == "set()\n"
