"""Small builders of value objects, so that a test states only what it is about. Defaults are Llama 3 70B on H100."""

from hypothesis import strategies as st

from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup
from inferplan.core.engine import Engine
from inferplan.core.hardware import Gpu
from inferplan.core.layers.attention import Attention
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision, Scope
from inferplan.core.units import GIB, MIB, TERA


def dense(
    *,
    layers: int = 80,
    hidden: int = 8192,
    heads: int = 64,
    kv_heads: int = 8,
    head_dim: int = 128,
    ffn: int = 28672,
    vocab: int = 128256,
    tied: bool = False,
) -> Architecture:
    attention = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    group = LayerGroup(count=layers, attention=attention, ffn=DenseFfn(intermediate=ffn))
    return Architecture(hidden=hidden, vocab=vocab, groups=(group,), max_positions=131072, tied_embeddings=tied)


def sparse(*, layers: int = 32, experts: int = 8, active: int = 2, width: int = 14336, shared: int = 0) -> Architecture:
    attention = Attention(heads=32, kv_heads=8, head_dim=128)
    ffn = ExpertFfn(experts=experts, active=active, intermediate=width, shared_intermediate=shared)
    group = LayerGroup(count=layers, attention=attention, ffn=ffn)
    return Architecture(hidden=4096, vocab=32000, groups=(group,), max_positions=32768)


def model(architecture: Architecture) -> Model:
    return Model(id="test/model", title="Test", architecture=architecture, native_precision="bf16")


def precision(
    *, bits: float = 16, nominal: float | None = None, scope: Scope = "all", kv_bits: float = 16
) -> Precision:
    return Precision(
        id="test",
        title="Test",
        bits_per_weight=bits,
        nominal_bits=bits if nominal is None else nominal,
        scope=scope,
        kv_bits=kv_bits,
        compute="bf16",
        weight_only=False,
        codec=None,
        quality="safe",
        quality_evidence="",
    )


def h100(*, link_span: int = 8) -> Gpu:
    return Gpu(
        id="h100-sxm",
        title="H100",
        vendor="nvidia",
        architecture="Hopper",
        kind="datacenter",
        memory=81559 * MIB,
        engine_memory=round(79.18 * GIB),
        bandwidth=3.35e12,
        flops={"bf16": 989 * TERA, "fp8": 1979 * TERA},
        link="NVLink 4",
        link_bandwidth=450e9,
        link_span=link_span,
        pcie="Gen5 x16",
        pcie_bandwidth=64e9,
        node_size=8,
        power_watts=700,
        status="verified",
    )


def engine(*, version: int = 28, utilization: float = 0.9, sequences: int = 1024, tokens: int = 8192) -> Engine:
    return Engine(
        version=version,
        memory_utilization=utilization,
        max_num_seqs=sequences,
        max_num_batched_tokens=tokens,
    )


ONE = st.just(1)


def layouts(
    *, pp: st.SearchStrategy[int], dp: st.SearchStrategy[int] = ONE, attention_dp: st.SearchStrategy[int] = ONE
) -> st.SearchStrategy[Layout]:
    """Tensor groups of 1, 2, 4 or 8 in so many stages; by default one of them, in one replica."""
    return st.builds(Layout, tp=st.sampled_from([1, 2, 4, 8]), pp=pp, dp=dp, attention_dp=attention_dp)
