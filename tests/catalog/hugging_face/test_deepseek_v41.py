"""DeepSeek-V4.1-Flash: the tensors that its config.json makes, against the published size of its checkpoint."""

import json
from collections.abc import Iterator
from math import prod

import pytest

from configs import changed_in, problem, read, text_of
from inferplan.catalog.hugging_face.config import described
from inferplan.core.memory import cached_parts

SLUG = "deepseek-v4.1-flash"
CONFIG = json.loads(text_of(SLUG))
TEXT = CONFIG["text_config"]
HIDDEN, EXPERT, RANK = 5120, 2304, 1280
ROWS, COLUMNS = 64 * 512, 8 * 1024
TOTAL_SIZE = 510_286_023_000
"""`metadata.total_size` of model.safetensors.index.json, revision dba1be0a. [B]"""

Tensors = Iterator[tuple[str, int, tuple[int, ...]]]
"""What a tensor is stored in, how many there are of it, and its sides."""


def attention(times: int) -> Tensors:
    sides = [(RANK, HIDDEN), (ROWS, RANK), (512, HIDDEN), (COLUMNS, ROWS // 8), (HIDDEN, COLUMNS)]
    yield from (("fp8", times, pair) for pair in sides)
    yield from [("bf16", times, (RANK,)), ("bf16", times, (512,)), ("fp32", times, (64,))]


def layer(times: int, experts: int) -> Tensors:
    """Attention with a window, streams that are mixed twice, experts beside a shared one, two norms."""
    yield from attention(times)
    yield from [("fp32", 2 * times, (24, 4 * HIDDEN)), ("fp32", 2 * times, (24 + 3,)), ("bf16", 2 * times, (HIDDEN,))]
    yield from [("bf16", times, (experts, HIDDEN)), ("bias", 2 * times, (experts,))]
    yield from [("fp4", 2 * times * experts, (EXPERT, HIDDEN)), ("fp4", times * experts, (HIDDEN, EXPERT))]
    yield from [("fp8", 2 * times, (EXPERT, HIDDEN)), ("fp8", times, (HIDDEN, EXPERT))]


def decoder() -> Tensors:
    yield from [("bf16", 2, (129280, HIDDEN)), ("bf16", 1, (HIDDEN,))]
    yield from layer(40, 384)
    yield from [("fp8", 8, (32 * 128, RANK)), ("bf16", 8, (32, HIDDEN))]
    yield from [("bf16", 4, (128, 512)), ("bf16", 4, (128,)), ("bf16", 4 + 3, (512, HIDDEN)), ("bf16", 4, (512,))]
    yield from [("rows", 1, (rows, 256)) for rows in (384_006_168, 384_016_682)]
    yield from [("fp8", 2, (5 * HIDDEN, 3 * 8 * 256)), ("bf16", 2 * 2, (4, HIDDEN))]


def drafting() -> Tensors:
    yield from layer(3, 128)
    yield from [("bf16", 1, (HIDDEN,)), ("fp8", 1, (HIDDEN, 3 * HIDDEN))]
    yield from [("bf16", 1, (HIDDEN,)), ("bf16", 2, (129280, 256)), ("bf16", 1, (HIDDEN + 256,))]


def seeing() -> Tensors:
    """Words for begin, end and lines of an image, patches, 32 layers, and two matrices behind nine of them in one."""
    wide, inner = 1024, 2816
    yield from [("bf16", 3, (HIDDEN,)), ("bf16", 1, (wide, 3 * 14 * 14 + 1)), ("bf16", 1, (wide,))]
    yield from [("bf16", 32, (3 * wide, wide + 1)), ("bf16", 32, (wide, wide + 1)), ("bf16", 32 * 2, (wide,))]
    yield from [("bf16", 32, (3 * inner, wide)), ("bf16", 1, (HIDDEN, 9 * wide + 1)), ("bf16", 1, (HIDDEN, HIDDEN + 1))]


def stored(kind: str, sides: tuple[int, ...]) -> int:
    """The bytes of a tensor with its scales of a byte: for 32 x 32 of FP8, for 32 of a row of FP4 and of tables."""
    size = prod(sides)
    per_value = {"fp8": size + size // 32**2, "fp4": size // 2 + size // 32, "rows": size + size // 32}
    return per_value.get(kind, size * (2 if kind == "bf16" else 4))


def elements(tensors: Tensors, *, without: str = "") -> int:
    return sum(times * prod(sides) for kind, times, sides in tensors if kind != without)


def test_the_tensors_take_the_published_bytes_and_the_reader_counts_them() -> None:
    """Of the two biases of a router, for text and for images, one is counted where layers draft, none elsewhere."""
    every = [*decoder(), *drafting(), *seeing()]
    assert sum(times * stored(kind, sides) for kind, times, sides in every) == TOTAL_SIZE
    model = read(SLUG)
    assert model.total_params == elements(decoder(), without="bias")
    assert model.architecture.multi_token is not None
    assert model.architecture.multi_token.params == elements(drafting(), without="bias") + 3 * 128
    assert model.architecture.vision_params == elements(seeing())


def test_keys_that_all_layers_share_take_the_published_890_bytes_a_token() -> None:
    """Of the model card; in FP4 with a scale for 16 elements of a key and for 32 of an index key."""
    bits = {"compressed keys": 4.5, "index keys": 4.25}
    parts = [(layers, part) for layers, part in cached_parts(read(SLUG).architecture) if part.what != "window"]
    assert sum(layers * part.elements * bits[part.what] / 8 / part.compress for layers, part in parts) == 890


def test_keys_are_made_where_the_config_lists_their_sources() -> None:
    fewer = described(json.dumps({**CONFIG, "text_config": {**TEXT, "kv_source_layer_ids": [2, 20]}})).model
    parts = [(part.compress, layers) for layers, part in cached_parts(fewer.architecture) if part.what == "index keys"]
    assert sorted(parts) == [(1, 1), (2, 1)]


def test_without_tables_and_drafts_there_are_none() -> None:
    text = {**TEXT, "engram_layer_ids": [], "num_nextn_predict_layers": 0}
    model = changed_in(SLUG, text_config=text)
    assert (model.architecture.lookup_params, model.architecture.ngram_layers) == (0, 0)
    assert model.architecture.multi_token is None
    assert model.total_params == elements(decoder(), without="bias") - 2 * (5 * 6144 + 8) * HIDDEN - 768_022_850 * 256


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"engram_num_embeddings": [384006168]}, "a list of 2 whole numbers"),
        ({"engram_num_embeddings": [True, 1]}, "a list of 2 whole numbers"),
        ({"engram_layer_ids": [1, 1]}, "none twice"),
        ({"compress_ratios": [3] * 40}, '"text_config.compress_ratios" must be a list, one for each layer, of 0, 1, 2'),
        ({"kv_source_layer_ids": [40]}, "from 0 to 39"),
        ({"num_key_value_heads": 8}, "all heads share one key"),
    ],
)
def test_what_no_v4_1_has_is_refused_by_its_key(changed: dict[str, object], said: str) -> None:
    assert said in problem({**CONFIG, "text_config": {**TEXT, **changed}})
