"""The assumptions behind the figures of a layout."""

from inferplan.core.engines.expert_slices import padded_slices
from inferplan.core.units import MICRO
from inferplan.tools._assumptions import Ledger
from inferplan.tools.layouts.plans import Case
from inferplan.tools.serving.assumed_context import note_context
from inferplan.tools.serving.launch_flags import FLAGS
from inferplan.tools.serving.published import pads_much
from inferplan.tools.serving.settings import note_node, note_share, note_speed

TIMED = 8
"""The widest tensor group over one scale-up link among the published runs. [GPUs]"""
CACHED = "past turns cached"
COMPUTED_AGAIN = "past turns not counted: no prefix is cached, so that they are computed again as part of input_tokens"
"""What a turn assumes about the turns before it, with and without a prefix cache."""


EXCHANGED = "what vLLM exchanges with DeepEP between nodes at a time is a step"
"""Why steps are short, and sequences few, where ranks share experts between nodes."""


def note_load(case: Case, ledger: Ledger) -> None:
    """List what the figures of a case assume: the context, the turn, the node, the network, the speed model."""
    demand = case.demand
    note_assumed_context(case, ledger)
    ledger.note(
        "request",
        f"{demand.input_tokens} in, {demand.output_tokens} out",
        why=f"tokens; sessions full, {CACHED if case.on.engine.prefix_caching else COMPUTED_AGAIN}",
    )
    note_share(ledger, case.on.utilization(case.chosen.layout))
    note_node(ledger, case.on, case.chosen.layout.gpus)
    if case.chosen.layout.replica > case.on.domain and case.on.gpu.kind != "datacenter":
        ledger.take("inter_node_gb_per_s", why="InfiniBand NDR, which such machines seldom have")
    note_speed(ledger, case.on, demand.input_tokens, law="ttft" if case.chosen.load.is_single else "tpot")
    _note_width(case, ledger)
    runs = case.on.laid_out(case.chosen.layout)
    if runs != case.on.engine:
        ledger.note("max_num_batched_tokens", runs.max_num_batched_tokens, why=EXCHANGED)
        ledger.note("max_num_seqs", runs.max_num_seqs, why=EXCHANGED)
    _note_whole_experts(case, ledger)
    if any(one.hidden for one in case.chosen.passes[0]):
        how = FLAGS[case.on.engine.name].overlap
        ledger.note("expert_exchange", "overlapped", why=f"two-batch overlap between nodes: {how}, DeepEP")


def note_assumed_context(case: Case, ledger: Ledger) -> None:
    """List that the context is assumed, where it is."""
    if not case.demand.context_given:
        note_context(ledger, case.timed, case.demand.context, case.short)


def _note_width(case: Case, ledger: Ledger) -> None:
    """List how tensor groups beyond those measured, or beyond the engine's own all-reduce, are timed."""
    on, tp = case.on, case.chosen.layout.tp
    if tp > TIMED and on.gpu.vendor != "nvidia":
        ledger.note("tensor_groups", f"timed as of {TIMED}", why="no published run over one link has wider ones")
    elif more := on.added_by_nccl_s(tp):
        kernels = f"{on.engine_name} adds up over {on.reduces_among} GPUs itself; no published run has more"
        ledger.note("tensor_groups", f"{more / MICRO:.0f} us more an all-reduce", why=f"NCCL's; {kernels}")


def _note_whole_experts(case: Case, ledger: Ledger) -> None:
    """List that the ranks of a tensor group hold whole experts, whose slices kernels would pad."""
    on, layout = case.on, case.chosen.layout
    if pads_much(on, layout):
        times = padded_slices(on.model, on.precision, layout.tp)
        why = f"kernels would pad 1/{layout.tp} of each to {times:.2f} times its memory; routing is taken to be even"
        ledger.note("experts", "whole", why=why)
