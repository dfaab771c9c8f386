"""LongCat-Flash: each layer of its config is two decoder layers, which share one set of experts.

Source: transformers 5.24, `LongcatFlashDecoderLayer`, `LongcatFlashTopkRouter`; vLLM 0.33, longcat_flash.py.
"""

from inferplan.catalog.hugging_face.layers.ffn import Blocks, check_active
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import latent
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, MOST_LAYERS, Keys
from inferplan.core.architecture import DenseFfn, ExpertFfn


def _pairs(keys: Keys) -> int:
    """The layers of the config, half of the decoder layers (`LongcatFlashConfig.num_hidden_layers`)."""
    return keys.integer("num_layers", high=MOST_LAYERS // 2)


def mixers(keys: Keys) -> Mixers:
    """MLA in both layers of a pair."""
    return [(latent(keys),)] * (2 * _pairs(keys))


def blocks(keys: Keys) -> Blocks:
    """Experts beside a dense block in the first layer of a pair, a dense block in the second.

    Some experts compute nothing (`zero_expert_num`); on average a token is routed to as many of them as their share.
    """
    width, experts = keys.integer("ffn_hidden_size"), keys.integer("n_routed_experts", high=LARGEST_COUNT)
    outputs = experts + (keys.optional("zero_expert_num", high=LARGEST_COUNT) or 0)
    chosen = keys.integer("moe_topk", high=LARGEST_COUNT)
    check_active(keys, "moe_topk", chosen, outputs)
    routed = ExpertFfn(
        experts=experts,
        active=max(1, round(min(chosen, outputs) * experts / outputs)),
        intermediate=keys.integer("expert_ffn_hidden_size"),
        dense_intermediate=width,
        router_outputs=outputs,
    )
    return [routed, DenseFfn(intermediate=width)] * _pairs(keys)
