"""Which constants of speed apply to a GPU, a format and an engine, and whether any run like it was fitted."""

import pytest

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.core.speed.efficiency import Arithmetic, Generation, Kind, Runner, efficiency, is_fitted, kind_of
from inferplan.core.speed.speed_constants import PARAMETERS


@pytest.mark.parametrize(
    ("gpu", "engine", "fitted"),
    [
        ("h100-sxm", "vllm", True),
        ("h100-sxm", "llama.cpp", True),
        ("rtx-4090", "vllm", False),
        ("rtx-4090", "llama.cpp", True),
        ("apple-m4-max", "llama.cpp", True),
        ("gaudi-3", "vllm", False),
        ("gaudi-3", "llama.cpp", False),
        ("vr200", "vllm", False),
        ("vr200", "llama.cpp", False),
    ],
)
def test_serving_engines_are_fitted_on_datacenter_gpus_on_sale_and_llama_cpp_on_those_of_three_vendors(
    gpu: str, engine: Runner, *, fitted: bool
) -> None:
    assert is_fitted(GPUS[gpu], engine) == fitted


@pytest.mark.parametrize(
    ("gpu", "precision", "arithmetic"),
    [
        ("h100-sxm", "fp8", "native"),
        ("a100-80gb-sxm", "fp8", "native"),
        ("h100-sxm", "awq", "weight-only"),
        ("h100-sxm", "nvfp4", "weight-only"),
        ("b200-sxm", "nvfp4", "fp4"),
        ("mi355x", "nvfp4", "weight-only"),
        ("mi355x", "mxfp4", "fp4"),
    ],
)
def test_only_weights_of_4_bit_are_expanded_where_the_gpu_cannot_compute_with_them(
    gpu: str, precision: str, arithmetic: Arithmetic
) -> None:
    """Experts in 8 bit were fitted like those in 16, also where the GPU (A100) has no arithmetic for them."""
    assert kind_of(GPUS[gpu], FORMATS[precision], "vllm").arithmetic == arithmetic


def test_engines_and_vendors_have_constants_of_their_own_where_their_kernels_are() -> None:
    def of(engine: Runner, generation: Generation = "hopper", arithmetic: Arithmetic = "native") -> dict[str, float]:
        found = efficiency(Kind(generation=generation, engine=engine, arithmetic=arithmetic))
        return {name: getattr(found, name) for name in ("expert_compute", "layer_s", "all_reduce_s", "sequence_s")}

    p = PARAMETERS
    plain = {name: p[name] for name in ("expert_compute", "layer_s", "all_reduce_s")}
    assert of("vllm") == {**plain, "sequence_s": p["sequence_s_vllm"]}
    tensorrt = {"layer_s": p["layer_s"] * p["overhead_tensorrt"], "sequence_s": p["sequence_s_tensorrt"]}
    assert of("tensorrt-llm") == pytest.approx({**plain, **tensorrt})
    assert of("other")["layer_s"] == p["layer_s_other"]
    cdna = of("vllm", "cdna")
    assert (cdna["layer_s"], cdna["all_reduce_s"]) == (p["layer_s_cdna"], p["all_reduce_s_cdna"])
    expanded = [of(engine, arithmetic="weight-only")["expert_compute"] for engine in ("sglang", "tensorrt-llm")]
    assert expanded == [p["expert_compute_weight_only"], p["expert_compute_weight_only_tensorrt"]]
