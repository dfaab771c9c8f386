"""A model that the catalogue does not hold, named by its repository: read from a hub by a server that goes on."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from math import prod
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from inferplan.tools.registry import TOOLS
from loopback_hub import BITS, LoopbackHub, Tensors, answer, loopback_hub, send_file

ID = "someone/tiny-llama"
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "max_position_embeddings": 4096,
    "num_attention_heads": 8,
    "num_hidden_layers": 1,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
    "vocab_size": 2048,
}
FP8 = {**LLAMA, "quantization_config": {"quant_method": "fp8"}}
LAYER = "model.layers.0."
TENSORS: Tensors = {
    "model.embed_tokens.weight": ("BF16", [2048, 512]),
    f"{LAYER}input_layernorm.weight": ("BF16", [512]),
    f"{LAYER}post_attention_layernorm.weight": ("BF16", [512]),
    f"{LAYER}self_attn.q_proj.weight": ("F8_E4M3", [512, 512]),
    f"{LAYER}self_attn.q_proj.weight_scale_inv": ("F32", [4, 4]),
    f"{LAYER}self_attn.k_proj.weight": ("F8_E4M3", [128, 512]),
    f"{LAYER}self_attn.v_proj.weight": ("F8_E4M3", [128, 512]),
    f"{LAYER}self_attn.o_proj.weight": ("F8_E4M3", [512, 512]),
    f"{LAYER}mlp.gate_proj.weight": ("BF16", [1024, 512]),
    f"{LAYER}mlp.up_proj.weight": ("BF16", [1024, 512]),
    f"{LAYER}mlp.down_proj.weight": ("BF16", [512, 1024]),
    "model.norm.weight": ("BF16", [512]),
    "lm_head.weight": ("BF16", [2048, 512]),
}
"""Attention in FP8 with the scales of one matrix; the feed-forward block in 16 bit, whatever the config says."""

WITHOUT_EXTRA = """
import sys
sys.modules["huggingface_hub"] = None
import inferplan.server.__main__ as command
sys.exit(command.main([]))
"""
NEAREST = 'no model "someone/llama-3.3-71b"; nearest: "meta-llama/Llama-3'
ELSE = "or pass the text of its config.json instead."

Connect = Callable[..., Any]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub on this machine, which every server that is started meanwhile takes for the only one."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with loopback_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield running


def size(tensors: Tensors) -> int:
    """What the tensors take in a file. [B]"""
    return sum(prod(shape) * BITS[form] // 8 for form, shape in tensors.values())


def ask(wire: Any, model: str, tool: str = "estimate_vram", **arguments: Any) -> dict[str, Any]:
    """The result of a call, structured content or error text."""
    return wire.result("tools/call", name=tool, arguments={"model": model, **arguments})


def answered(wire: Any, model: str, tool: str = "estimate_vram", **arguments: Any) -> dict[str, Any]:
    result = ask(wire, model, tool, **arguments)
    assert not result.get("isError"), result["content"]
    return result["structuredContent"]


def refused(wire: Any, model: str) -> str:
    result = ask(wire, model)
    assert result["isError"]
    text: str = result["content"][0]["text"]
    assert text.startswith("`estimate_vram`: 1 problem. `model`: ")
    assert text.isprintable()
    assert len(text) < 700
    return text.removeprefix("`estimate_vram`: 1 problem. `model`: ")


def assumption(content: dict[str, Any], name: str = "model_config") -> tuple[str, str]:
    """Its value and its reason."""
    found = next(entry for entry in content["assumptions"] if entry["name"] == name)
    return found["value"], found["why"]


# What is found


def test_a_repository_is_answered_from_its_config(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, LLAMA)
    wire = connect("2025-11-25")
    named, described = (answered(wire, model, precision="bf16") for model in (ID, json.dumps(LLAMA)))
    assert named["summary"].startswith(f"Serving {ID} in BF16 to 1 concurrent user")
    for name in ("weights_gb", "kv_cache_gb", "total_gb", "kv_bytes_per_token", "hardware"):
        assert named[name] == described[name]


def test_a_repository_that_brings_the_class_of_its_config_is_started_with_trust_in_it(
    connect: Connect, hub: LoopbackHub
) -> None:
    own = {"AutoConfig": "configuration_internlm2.InternLM2Config"}
    hub.publish(ID, {**LLAMA, "model_type": "internlm2", "auto_map": own})
    hub.publish("someone/plain", {**LLAMA, "model_type": "internlm2"})
    wire = connect("2025-11-25")
    assert f"vllm serve {ID} --trust-remote-code " in answered(wire, ID)["launch"]
    assert "trust" not in answered(wire, "someone/plain")["launch"]


def test_the_checkpoints_own_precision_weighs_what_its_headers_state(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, FP8, only=TENSORS)
    wire = connect("2025-11-25")
    stored = answered(wire, ID, precision="fp8")
    assert stored["weights_gb"] == pytest.approx(size(TENSORS) / 1e9, rel=1e-5)
    assert assumption(stored) == (
        f"{ID} at 0123456",
        "its weights in fp8 take the bits that its tensor headers state",
    )
    described = answered(wire, json.dumps(FP8), precision="fp8")
    assert described["weights_gb"] < stored["weights_gb"]
    assert (
        answered(wire, ID, precision="int4")["weights_gb"]
        == (answered(wire, json.dumps(FP8), precision="int4")["weights_gb"])
    )


def test_what_headers_and_config_contradict_each_other_in_is_said(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, LLAMA, only={**TENSORS, f"{LAYER}self_attn.g_proj.weight": ("BF16", [512, 512])})
    _, why = assumption(answered(connect("2025-11-25"), ID))
    assert "its files hold 4,589,056 parameters, its config makes 4,326,912" in why


def test_what_could_not_be_read_is_said_with_the_answer(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, LLAMA)
    content = answered(connect("2025-11-25"), ID)
    assert (
        f"the sizes of its tensors were not read: 127.0.0.1:{hub.port} has no model.safetensors"
        in (assumption(content)[1])
    )


def test_inputs_and_next_steps_name_the_repository_which_is_read_once(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, FP8, only=TENSORS)
    wire = connect("2025-11-25")
    first = answered(wire, ID)
    asked = len(hub.asked)
    assert first["inputs"]["model"] == ID
    steps = [("estimate_vram", first["inputs"]), *((step["tool"], step["arguments"]) for step in first["next_steps"])]
    for tool, arguments in steps:
        assert arguments["model"] == ID
        assert not wire.result("tools/call", name=tool, arguments=arguments).get("isError")
    assert len(hub.asked) == asked


def test_every_tool_takes_a_repository(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, FP8, only=TENSORS)
    wire = connect("2025-11-25")
    for tool in TOOLS:
        names = [name for name in ("model", "dense_model", "moe_model") if name in tool.question.model_fields]
        arguments = {**tool.example, **dict.fromkeys(names, ID)}
        result = wire.result("tools/call", name=tool.name, arguments=arguments)
        assert not result.get("isError"), result["content"]
        content = result["structuredContent"]
        assert ID in content["summary"]
        assert max(map(len, content["diagram"].splitlines())) <= 80
        assert sum(entry["name"].endswith("model_config") for entry in content["assumptions"]) == len(names)


def test_a_repository_of_which_parts_are_missing_for_now_is_asked_for_once_in_a_question(
    connect: Connect, hub: LoopbackHub
) -> None:
    hub.publish(ID, LLAMA)
    hub.answer(ID, "model.safetensors.index.json", answer(503))
    wire = connect("2025-11-25")
    answered(wire, ID, "run_preset", preset="starter")
    assert sum(path.endswith("/config.json") for path in hub.paths) == 1


# What is not asked for


NOT_ASKED_FOR = (
    "70B",
    "llama 3.3 70b",
    "meta-llama/Llama-3.1-8B-Instruct",
    "unsloth/Llama-3.3-70B-Instruct",
    "no such model",
    "a/b/c",
    "../etc",
    "http://127.0.0.1/a",
    json.dumps({**LLAMA, "_name_or_path": ID}),
)


def test_names_that_are_catalogued_or_no_repository_cause_no_request(connect: Connect, hub: LoopbackHub) -> None:
    wire = connect("2025-11-25")
    for name in NOT_ASKED_FOR:
        ask(wire, name)
    assert hub.asked == []


# What is refused


def test_a_repository_that_is_not_there_is_answered_with_the_nearest_names(connect: Connect, hub: LoopbackHub) -> None:
    said = refused(connect("2025-11-25"), "someone/llama-3.3-71b")
    assert said.startswith(NEAREST)
    assert f'127.0.0.1:{hub.port} has no config.json of "someone/llama-3.3-71b"; check the name, {ELSE}' in said


def test_a_gated_repository_is_said_to_need_a_token(connect: Connect, hub: LoopbackHub) -> None:
    hub.answer(ID, "config.json", answer(403))
    said = refused(connect("2025-11-25"), ID)
    assert said.endswith(f"is gated; set HF_TOKEN to the token of an account that has access, {ELSE}")


def test_offline_is_said_and_nothing_is_asked(
    connect: Connect, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = refused(connect("2025-11-25"), "someone/llama-3.3-71b")
    assert said.startswith(NEAREST)
    assert said.endswith(f"no model hub is asked while HF_HUB_OFFLINE is set; unset it, {ELSE}")
    assert hub.asked == []


def test_without_the_extra_the_sentence_says_what_to_install(
    connect: Connect, hub: LoopbackHub, tmp_path: Path
) -> None:
    script = tmp_path / "serve.py"
    script.write_text(WITHOUT_EXTRA, encoding="utf-8")
    wire = connect("2025-11-25", str(script))
    said = refused(wire, "someone/llama-3.3-71b")
    assert said.startswith(NEAREST)
    assert said.endswith(f"reading a model hub needs the extra `hub`: pip install '.[hub]' in the clone, {ELSE}")
    assert answered(wire, "70B", precision="fp8")["weights_gb"] == 70
    assert hub.asked == []


def test_a_config_that_is_not_understood_is_said_to_be_that_of_the_repository(
    connect: Connect, hub: LoopbackHub
) -> None:
    hub.publish(ID, {"model_type": "lama"})
    assert refused(connect("2025-11-25"), ID).startswith(f'config.json of "{ID}": no model_type "lama" among the ')


# A hub that takes its time


def test_a_slow_hub_keeps_no_other_call_waiting(connect: Connect, hub: LoopbackHub) -> None:
    asked, go_on = Event(), Event()

    def hesitate(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait()
        send_file(request, json.dumps(LLAMA).encode())

    hub.answer(ID, "config.json", hesitate)
    wire = connect("2025-11-25")
    for number, model in ((1001, ID), (1002, "70B")):
        call = {"name": "estimate_vram", "arguments": {"model": model}}
        wire.say({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})
    assert wire.listen()["id"] == 1002
    assert asked.wait(timeout=60)
    go_on.set()
    late = wire.listen()
    assert late["id"] == 1001
    assert late["result"]["structuredContent"]["inputs"]["model"] == ID


def test_more_slow_calls_than_threads_keep_no_other_call_waiting(connect: Connect, hub: LoopbackHub) -> None:
    slow = [f"{ID}-{number}" for number in range(60)]
    for repository in slow:
        hub.answer(repository, "config.json", hub.stay_silent)
    wire = connect("2025-11-25")
    for number, model in enumerate([*slow, "70B"], start=1000):
        call = {"name": "estimate_vram", "arguments": {"model": model}}
        wire.say({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})
    assert wire.listen()["id"] == 1060


def test_the_end_of_the_input_waits_for_the_hub(connect: Connect, hub: LoopbackHub) -> None:
    hub.publish(ID, FP8, only=TENSORS)
    wire = connect("2025-11-25")
    call = {"name": "estimate_vram", "arguments": {"model": ID}}
    wire.say({"jsonrpc": "2.0", "id": 1001, "method": "tools/call", "params": call})
    wire.process.stdin.close()
    assert wire.listen()["result"]["structuredContent"]["inputs"]["model"] == ID
