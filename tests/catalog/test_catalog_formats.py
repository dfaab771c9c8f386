"""Number formats: what they spend, what computes them, what they are called."""

import pytest

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.formats import FORMATS, KV_FORMATS, PrecisionRow, format_rows
from inferplan.catalog.prices import AS_OF

SAID = [
    ("FP8", "fp8"),
    ("fp8_e4m3", "fp8"),
    ("w8a8-fp8", "fp8"),
    ("fp 8", "fp8"),
    ("FP8-block", "fp8"),
    ("fp8 block128", "fp8"),
    ("fp8 per-tensor", "fp8"),
    ("fp8_channel", "fp8"),
    ("float16", "fp16"),
    ("half", "fp16"),
    ("FP-16", "fp16"),
    ("bfloat16", "bf16"),
    ("float32", "fp32"),
    ("w8a8", "int8"),
    ("int8", "int8"),
    ("w8a16", "w8a16"),
    ("weight-only int8", "w8a16"),
    ("awq 8bit", "w8a16"),
    ("gptq-int8", "gptq-int8"),
    ("GPTQ 8-bit", "gptq-int8"),
    ("bnb 8bit", "bnb-int8"),
    ("load_in_8bit", "bnb-int8"),
    ("LLM.int8()", "bnb-int8"),
    ("bnb", "nf4"),
    ("INT4", "int4"),
    ("w4a16", "int4"),
    ("awq int4", "awq"),
    ("bitsandbytes", "nf4"),
    ("NVFP4", "nvfp4"),
    ("mxfp4", "mxfp4"),
    ("Q4_K_M", "q4_k_m"),
    ("q4km", "q4_k_m"),
    ("GGUF Q4_K_M", "q4_k_m"),
    ("q8", "q8_0"),
    ("q6_k", "q6_k"),
]


@pytest.mark.parametrize(("said", "id_"), SAID)
def test_a_format_is_found_by_what_people_call_it(said: str, id_: str) -> None:
    assert FORMATS.find(said).id == id_


@pytest.mark.parametrize("said", ["4bit", "8bit", "fp4", "int", "q4_k", "gguf", "fp6", "8"])
def test_a_name_that_fits_several_formats_is_not_guessed(said: str) -> None:
    with pytest.raises(UnknownName):
        FORMATS.find(said)


def test_four_bit_floats_without_a_maker_are_answered_with_both() -> None:
    assert set(FORMATS.nearest("fp4")[:2]) == {"nvfp4", "mxfp4"}


@pytest.mark.parametrize("said", ["{}bit", "{}-bit", "{} bit"])
@pytest.mark.parametrize(("bits", "meant"), [(4, ["int4", "awq", "nf4"]), (8, ["fp8", "int8", "w8a16"])])
def test_bits_alone_are_answered_with_the_plain_formats_of_so_many_first(
    said: str, bits: int, meant: list[str]
) -> None:
    """Who said 4-bit was told of AWQ, NF4 and GPTQ but not of INT4, and who said 8-bit of no FP8."""
    assert FORMATS.nearest(said.format(bits)) == meant


@pytest.mark.parametrize("row", format_rows().values(), ids=lambda row: row.id)
def test_every_row_is_sane_and_sourced(row: PrecisionRow) -> None:
    precision = FORMATS[row.id]
    assert 2 <= precision.bits_per_weight <= 32
    assert precision.id == precision.id.lower()
    assert precision.quality_evidence
    assert row.source
    assert row.checked <= AS_OF
    assert not precision.weight_only or precision.compute == "bf16"


@pytest.mark.parametrize(
    ("id_", "nominal_bits", "kv_bits", "quality"),
    [("fp32", 32, 32, "baseline"), ("fp16", 16, 16, "safe"), ("fp8", 8, 8, "safe"), ("int4", 4, 16, "caution")],
)
def test_the_guides_four_have_the_guides_bits_and_badges(
    id_: str, nominal_bits: float, kv_bits: float, quality: str
) -> None:
    precision = FORMATS[id_]
    assert (precision.nominal_bits, precision.kv_bits, precision.quality) == (nominal_bits, kv_bits, quality)


def test_the_guide_has_four_formats() -> None:
    assert [precision.id for precision in FORMATS.values() if precision.guide] == ["fp32", "fp16", "fp8", "int4"]


@pytest.mark.parametrize(
    ("id_", "bits"),
    [
        ("fp8", 8 + 32 / 8192),  # one fp32 scale per row of 8192
        ("int8", 8 + 32 / 8192),
        ("w8a16", 8 + 16 / 4096),  # one 16-bit scale per row of 4096
        ("gptq-int8", 8 + 16 / 128),
        ("bnb-int8", 8 + 32 / 8192),
        ("int4", 4 + 16 / 128),  # one fp16 scale per 128
        ("gptq", 4 + 16 / 128),
        ("awq", 4 + (16 + 4) / 128),  # and a 4-bit zero point
        ("mxfp4", 4 + 8 / 32),
        ("nvfp4", 4 + 8 / 16),
        ("nf4", 4 + 32 / 64),
    ],
)
def test_scales_are_part_of_what_a_weight_spends(id_: str, bits: float) -> None:
    assert FORMATS[id_].bits_per_weight == pytest.approx(bits, abs=5e-4)
    assert FORMATS[id_].scope == "linear"


@pytest.mark.parametrize(
    ("params", "plain", "quantized"),
    [
        ("8B", (62.63, 78.81, 66.54, 52.49, 76.48, 75.21), (61.52, 78.69, 66.55, 52.60, 76.01, 75.89)),
        ("70B", (72.44, 85.54, 80.18, 62.92, 83.19, 90.83), (71.59, 85.65, 78.69, 61.94, 83.11, 86.43)),
    ],
)
def test_8_bit_weights_score_what_the_tables_of_their_cards_come_to(
    params: str, plain: tuple[float, ...], quantized: tuple[float, ...]
) -> None:
    """Llama 3 in w8a16, six tasks of OpenLLM 1; the sentence above the table has the two averages swapped."""
    before, after = (sum(scores) / len(scores) for scores in (plain, quantized))
    assert after < before
    said = FORMATS["w8a16"].quality_evidence
    assert f"{after:.1f} against {before:.1f}{' of 16 bit' if params == '8B' else ''} (Llama 3 {params})" in said


def test_a_q4_k_m_file_of_llama_3_1_8b_weighs_its_published_4_58_gib() -> None:
    assert FORMATS["q4_k_m"].bits_per_weight / 8 * 8.030e9 / 2**30 == pytest.approx(4.58, abs=0.01)
    assert FORMATS["q4_k_m"].scope == "all"


@pytest.mark.parametrize(
    ("id_", "bits"),
    [("fp32", 32), ("fp16", 16), ("bf16", 16), ("fp8", 8), ("int8", 8), ("q8_0", 34 * 8 / 32), ("q4_0", 18 * 8 / 32)],
)
def test_a_cache_format_counts_its_block_scales(id_: str, bits: float) -> None:
    assert KV_FORMATS[id_].bits == bits


def test_a_cache_may_be_called_by_the_engines_names() -> None:
    assert KV_FORMATS.find("fp8_e5m2").id == "fp8"
    assert KV_FORMATS.find("Q8_0").id == "q8_0"
    with pytest.raises(UnknownName, match="no KV cache precision"):
        KV_FORMATS.find("awq")
