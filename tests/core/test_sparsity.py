"""Experts: parameters split, share active, share touched by a batch; worked figures first, then laws."""

from fractions import Fraction
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core import sparsity

batches = st.integers(min_value=1, max_value=100_000)
expert_counts = st.integers(min_value=2, max_value=1024)


@st.composite
def routers(draw: st.DrawFn) -> tuple[int, int]:
    """Experts, and how many of them a token takes."""
    experts = draw(expert_counts)
    return experts, draw(st.integers(min_value=1, max_value=experts))


class TestWorkedFigures:
    def test_the_745b_class_splits_into_704_routed_and_41_always_active(self) -> None:
        # (745 - 52) / (126 / 128) = 704
        totals = {"total_params": 745e9, "active_params": 52e9}
        routed = sparsity.routed_params(**totals, experts=128, active=2)
        assert (routed, 745e9 - routed) == (704e9, 41e9)

    def test_mixtral_8x7b_splits_as_its_tensors_do(self) -> None:
        # 32 layers × 8 experts × 3 × 4096 × 14336 = 45.097 B routed, of 46.703 B in all and 12.880 B active
        routed = sparsity.routed_params(total_params=46_702_792_704, active_params=12_879_925_248, experts=8, active=2)
        assert routed == 32 * 8 * 3 * 4096 * 14336

    def test_seven_percent_of_the_745b_class_computes_a_token(self) -> None:
        assert isclose(sparsity.active_fraction(total_params=745e9, active_params=52e9), 0.069799, abs_tol=5e-7)

    def test_the_745b_class_takes_26_percent_less_compute_than_70b(self) -> None:
        ratio = sparsity.compute_ratio(active_params=52e9, reference_active_params=70e9)
        assert isclose(ratio, 0.742857, abs_tol=5e-7)
        assert round(100 * (1 - ratio)) == 26

    @pytest.mark.parametrize("tokens", [1, 2, 8, 64, 256])
    def test_a_batch_touches_the_experts_that_not_all_its_tokens_miss(self, tokens: int) -> None:
        exact = 1 - Fraction(126, 128) ** tokens
        assert isclose(sparsity.expert_coverage(tokens=tokens, experts=128, active=2), exact)

    def test_a_batch_of_64_touches_81_of_128_experts(self) -> None:
        # 128 × (1 - (126/128)^64) = 81.28
        assert isclose(sparsity.experts_touched(tokens=64, experts=128, active=2), 81.28, abs_tol=0.005)

    def test_one_token_of_the_745b_class_in_fp16_reads_104_gb(self) -> None:
        read = sparsity.step_weight_bytes(always_bytes=82e9, routed_bytes=1408e9, tokens=1, experts=128, active=2)
        assert isclose(read, 2 * 52e9)

    def test_32_tokens_touch_163_of_the_256_experts_of_deepseek_v3(self) -> None:
        # 256 × (1 - (1 - 8/256)^32) = 256 × 63.79 %
        assert isclose(sparsity.experts_touched(tokens=32, experts=256, active=8), 163.3, abs_tol=0.05)

    def test_where_every_expert_is_active_one_token_touches_all(self) -> None:
        assert sparsity.expert_coverage(tokens=1, experts=8, active=8) == 1

    def test_no_token_touches_no_expert(self) -> None:
        assert sparsity.expert_coverage(tokens=0, experts=8, active=8) == 0
        assert sparsity.expert_coverage(tokens=0, experts=8, active=2) == 0


class TestLaws:
    @given(router=routers())
    def test_one_token_touches_exactly_its_own_experts(self, router: tuple[int, int]) -> None:
        experts, active = router
        touched = sparsity.experts_touched(tokens=1, experts=experts, active=active)
        assert isclose(touched, active)

    @given(router=routers(), tokens=batches)
    def test_a_batch_touches_at_least_one_tokens_experts_and_at_most_all(
        self, router: tuple[int, int], tokens: int
    ) -> None:
        experts, active = router
        touched = sparsity.experts_touched(tokens=tokens, experts=experts, active=active)
        assert active * (1 - 1e-12) <= touched <= min(experts, tokens * active) * (1 + 1e-12)

    @given(router=routers(), tokens=batches)
    def test_a_larger_batch_touches_no_fewer_experts(self, router: tuple[int, int], tokens: int) -> None:
        experts, active = router
        smaller = sparsity.expert_coverage(tokens=tokens, experts=experts, active=active)
        larger = sparsity.expert_coverage(tokens=tokens + 1, experts=experts, active=active)
        assert larger >= smaller

    @given(router=routers(), one=batches, other=batches)
    def test_what_two_batches_miss_together_is_the_product_of_what_each_misses(
        self, router: tuple[int, int], one: int, other: int
    ) -> None:
        def missed(tokens: int) -> float:
            return 1 - sparsity.expert_coverage(tokens=tokens, experts=router[0], active=router[1])

        assert isclose(missed(one + other), missed(one) * missed(other), abs_tol=1e-12)

    @given(
        always=st.integers(min_value=1, max_value=10**12),
        per_expert=st.integers(min_value=1, max_value=10**10),
        experts=expert_counts,
        idle=st.integers(min_value=1, max_value=1023),
    )
    def test_the_split_gives_back_the_parameters_it_was_made_of(
        self, always: int, per_expert: int, experts: int, idle: int
    ) -> None:
        k = max(1, experts - idle)
        total, active = always + experts * per_expert, always + k * per_expert
        routed = sparsity.routed_params(total_params=total, active_params=active, experts=experts, active=k)
        assert isclose(routed, experts * per_expert)

    @given(router=routers(), always=st.floats(min_value=1, max_value=1e12), routed=st.floats(1, 1e13))
    def test_a_step_reads_the_active_weights_for_one_sequence_and_never_more_than_all(
        self, router: tuple[int, int], always: float, routed: float
    ) -> None:
        experts, active = router

        def read(tokens: int) -> float:
            return sparsity.step_weight_bytes(
                always_bytes=always,
                routed_bytes=routed,
                tokens=tokens,
                experts=experts,
                active=active,
            )

        assert isclose(read(1), always + routed * active / experts)
        assert read(1) <= read(64) * (1 + 1e-12)
        assert read(10**6) <= (always + routed) * (1 + 1e-12)

    @given(tokens=batches)
    def test_a_dense_model_reads_all_its_weights_at_every_batch(self, tokens: int) -> None:
        read = sparsity.step_weight_bytes(always_bytes=70e9, routed_bytes=0, tokens=tokens, experts=1, active=1)
        assert read == 70e9


@given(router=routers(), always=st.floats(0, 1), dense=st.floats(0.001, 2))
def test_a_crossover_is_the_first_batch_of_another_order(router: tuple[int, int], always: float, dense: float) -> None:
    experts, active = router

    def mixture(batch: int) -> float:
        return always + sparsity.expert_coverage(tokens=batch, experts=experts, active=active)

    found = sparsity.crossover_batch(mixture, lambda _: dense)
    if found is None:
        assert (mixture(1) < dense) == (mixture(sparsity.LARGEST_BATCH) < dense)
    else:
        assert mixture(found - 1) <= dense <= mixture(found)
