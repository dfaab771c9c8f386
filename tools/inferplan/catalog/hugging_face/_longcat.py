"""LongCat-Flash: each layer of its config is two, with two attentions, two dense blocks and one set of experts.

Source: transformers 5.24, `LongcatFlashDecoderLayer`, `LongcatFlashTopkRouter`; vLLM 0.33, longcat_flash.py.
"""

from inferplan.catalog.hugging_face._attention import Mixers
from inferplan.catalog.hugging_face._ffn import MANY, Blocks, check_active
from inferplan.catalog.hugging_face._keys import MOST_LAYERS, Keys
from inferplan.catalog.hugging_face._latent import latent
from inferplan.core.architecture import DenseFfn, ExpertFfn


def _pairs(keys: Keys) -> int:
    """The layers of the config, of which transformers counts twice as many (`LongcatFlashConfig.num_hidden_layers`)."""
    return keys.integer("num_layers", high=MOST_LAYERS // 2)


def mixers(keys: Keys) -> Mixers:
    """Latent attention, twice a layer."""
    return [(latent(keys),)] * (2 * _pairs(keys))


def blocks(keys: Keys) -> Blocks:
    """Experts beside a dense block, then a dense one.

    Of the experts that a token is routed to, some compute nothing: as many as there are of those, on average.
    """
    width, experts = keys.integer("ffn_hidden_size"), keys.integer("n_routed_experts", high=MANY)
    outputs = experts + (keys.optional("zero_expert_num", high=MANY) or 0)
    chosen = keys.integer("moe_topk", high=MANY)
    check_active(keys, "moe_topk", chosen, outputs)
    routed = ExpertFfn(
        experts=experts,
        active=max(1, round(min(chosen, outputs) * experts / outputs)),
        intermediate=keys.integer("expert_ffn_hidden_size"),
        dense_intermediate=width,
        router_outputs=outputs,
    )
    return [routed, DenseFfn(intermediate=width)] * _pairs(keys)
