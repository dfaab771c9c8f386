"""Prices: how a quote is chosen from dated rows, by hand-worked examples."""

import pytest

from inferplan.catalog._price_rows import (
    ApiRow,
    PriceRow,
    RentalRow,
    api_rows,
    facility_rows,
    ownership_rows,
    purchase_rows,
    rental_rows,
)
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.catalog.prices import (
    AS_OF,
    FACILITY,
    OLDEST_RENTAL,
    RentalKind,
    all_in_kw,
    api,
    discount,
    ownership_cost,
    purchase,
    rental,
)

EVERY_ROW: list[PriceRow] = [
    *rental_rows(),
    *purchase_rows(),
    *ownership_rows(),
    *facility_rows(),
    *api_rows(),
]
KINDS: tuple[RentalKind, ...] = ("on_demand", "spot", "reserved_1y", "reserved_3y")


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: f"{type(row).__name__}-{row.date}")
def test_no_price_comes_from_the_future(row: PriceRow) -> None:
    assert row.day <= AS_OF
    assert row.checked <= AS_OF
    assert row.source


def test_every_price_is_of_a_gpu_or_a_model_that_the_catalog_holds() -> None:
    assert {row.gpu for row in (*rental_rows(), *purchase_rows(), *ownership_rows())} <= set(GPUS)
    assert {model for row in api_rows() for model in row.models} <= set(MODELS)


def test_h100_on_demand_is_quoted_over_17_providers_at_a_median_of_3_99() -> None:
    """Newest firm price of each in the last year, in order: Civo 2.9572, Hyperstack 3.2126, Massed Compute
    3.3482, Jarvis 3.49, Scaleway 3.7969, OVH 3.8883, Crusoe 3.90, RunPod 3.99, Together 3.99 (the ninth), Lambda
    4.29, Verda 4.4868, Nebius 4.50, DigitalOcean 5.373, CoreWeave 6.155, AWS 6.88, GCP 11.0612, Azure 12.29.
    """
    quote = rental("h100-sxm", "on_demand")
    assert quote
    assert (quote.low, quote.median, quote.high, quote.providers) == (2.9572, 3.99, 12.29, 17)
    assert (quote.newest, quote.kind) == ("2026-11-09", "on_demand")


def test_a_provider_counts_once_with_its_newest_price() -> None:
    """Lambda: 4.29 on 2026-09-25 after 3.99 on 2026-09-20; Nebius 4.50 in October after 3.85 in September."""
    quote = rental("h100-sxm", "on_demand")
    assert quote
    prices = {row.provider: row.usd_per_gpu_hour for row in quote.rows}
    assert (prices["Lambda"], prices["Nebius"]) == (4.29, 4.5)
    assert len(prices) == len(quote.rows)


def test_of_one_days_prices_a_providers_cheapest_counts() -> None:
    """GCP listed a3-highgpu at 11.0612 and a3-megagpu at 11.6172 on the same day."""
    quote = rental("h100-sxm", "on_demand")
    assert quote
    assert next(row.usd_per_gpu_hour for row in quote.rows if row.provider == "GCP") == 11.0612


def test_undated_snapshots_count_only_where_nothing_firmer_is_known() -> None:
    spot, guessed = rental("h100-sxm", "spot"), rental("b300-sxm", "spot")
    assert spot
    assert [row.provider for row in spot.rows] == ["Crusoe", "CoreWeave", "GCP"]
    assert spot.median == 2.4638
    assert guessed
    assert all(row.month_is_guess for row in guessed.rows)


def test_an_even_number_of_providers_has_its_median_halfway() -> None:
    """A100 40 GB: Lambda 1.99, AWS 2.7447, Azure 3.3996, GCP 3.6734; Oracle's snapshot is undated."""
    quote = rental("a100-40gb-sxm", "on_demand")
    assert quote
    assert quote.median == pytest.approx((2.7447 + 3.3996) / 2)


def test_peer_to_peer_offers_count_only_where_no_provider_has_the_gpu() -> None:
    peers, provider = rental("rtx-5080", "on_demand"), rental("rtx-4090", "on_demand")
    assert peers
    assert provider
    assert (peers.kind, peers.median) == ("on_demand_marketplace", 0.2096)
    assert (provider.kind, provider.median) == ("on_demand", 0.74)


def test_prices_older_than_a_year_are_no_prices() -> None:
    assert any(row.gpu == "h100-sxm" and row.kind == "capacity_block" for row in rental_rows())
    assert rental("h100-sxm", "capacity_block") is None
    assert rental("a100-40gb-sxm", "reserved_1y") is None


@pytest.mark.parametrize(
    ("gpu", "usd"), [("tpu-v5e", 1.2), ("tpu-v5p", 4.2), ("tpu-v6e", 2.7), ("trainium2", 2.235)], ids=str
)
def test_accelerators_that_are_no_gpus_have_the_list_price_of_the_cloud_that_makes_them(gpu: str, usd: float) -> None:
    """By the chip: Google's us-central1 in a snapshot of SkyPilot's catalogue, AWS's trn2.3xlarge."""
    quote = rental(gpu, "on_demand")
    assert quote
    assert (quote.median, quote.providers) == (usd, 1)


def test_a_three_year_h100_is_the_published_contract_rate() -> None:
    year, three = rental("h100-sxm", "reserved_1y"), rental("h100-sxm", "reserved_3y")
    assert year
    assert three
    assert (year.median, three.median) == (2.35, 1.3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_quote_is_fresh_and_in_order(kind: RentalKind) -> None:
    quotes = [quote for gpu in {row.gpu for row in rental_rows()} if (quote := rental(gpu, kind))]
    assert quotes
    for quote in quotes:
        assert quote.low <= quote.median <= quote.high
        assert quote.providers == len(quote.rows) >= 1
        assert all(AS_OF - row.day <= OLDEST_RENTAL for row in quote.rows)


def test_a_gpu_nobody_rents_has_no_quote() -> None:
    assert rental("h20", "on_demand") is None
    assert rental("no such gpu", "spot") is None


def test_commitments_are_discounted_like_for_like() -> None:
    """Google Cloud, H100 and A100 40 GB: 7.673/11.0612 and 2.3142/3.6734; 4.858/11.0612 and 1.2857/3.6734."""
    year, three = discount("reserved_1y"), discount("reserved_3y")
    assert year.ratio == pytest.approx((7.673 / 11.0612 + 2.3142 / 3.6734) / 2)
    assert three.ratio == pytest.approx((4.858 / 11.0612 + 1.2857 / 3.6734) / 2)
    assert len(year.pairs) == len(three.pairs) == 2
    assert year.source


def test_an_h100_is_bought_as_an_eighth_of_a_server() -> None:
    """A quote of 317,000 USD for 8 H100 with network adapters."""
    bought = purchase("h100-sxm")
    assert bought
    assert (bought.usd_per_gpu, bought.basis, bought.date) == (317_000 / 8, "server", "2024-08")


def test_a_card_is_not_a_server_and_says_so() -> None:
    bought = purchase("h200-sxm")
    assert bought
    assert (bought.usd_per_gpu, bought.low, bought.high, bought.basis) == (32_000, 28_000, 35_000, "card")
    assert "not a server" in (bought.note or "")
    assert purchase("gaudi-2") is None


def test_a_whole_computer_needs_no_server_and_has_the_newest_of_its_prices() -> None:
    """3,999 USD at launch in 2025-10, 4,700 in 2026-04."""
    bought = purchase("dgx-spark-gb10")
    assert bought
    assert (bought.usd_per_gpu, bought.low, bought.high, bought.basis) == (4_700, 3_999, 4_700, "machine")
    assert "not a server" not in (bought.note or "")


@pytest.mark.parametrize("gpu", sorted({row.gpu for row in purchase_rows()}))
def test_a_purchase_lies_within_its_range(gpu: str) -> None:
    bought = purchase(gpu)
    assert bought
    assert bought.low <= bought.usd_per_gpu <= bought.high


def test_the_building_has_its_constants() -> None:
    power = FACILITY["electricity"]
    assert (power.value, power.low, power.high, power.unit) == (0.08, 0.06, 0.12, "USD/kWh")
    assert FACILITY["pue"].value == 1.4
    assert FACILITY.find("colo").value == 195.94
    assert FACILITY["server-kw-h100"].value == 10.2
    assert all(fact.low <= fact.value <= fact.high for fact in FACILITY.values())


def test_an_owned_h100_draws_1_73_kw_all_in() -> None:
    kw, cost = all_in_kw("h100-sxm"), ownership_cost("h100-sxm")
    assert kw
    assert cost
    assert (kw.value, kw.unit) == (1.73, "kW")
    assert (cost.low, cost.value, cost.high) == (1.3, 1.69, 1.69)
    assert all_in_kw("rtx-4090") is None


def test_a_size_class_has_the_api_price_of_the_model_it_stands_for() -> None:
    price = api("70B")
    assert price
    assert price == api("meta-llama/Llama-3.3-70B-Instruct") == api("llama-3.3-70b")
    assert (price.input.median, price.output.median, price.providers) == (0.59, 0.71, 17)
    assert api("405B") == api("meta-llama/Llama-3.1-405B-Instruct")


@pytest.mark.parametrize("row", api_rows(), ids=lambda row: row.id)
def test_every_api_price_is_that_of_a_model_of_the_catalog(row: ApiRow) -> None:
    """A row without its models' ids is found by nobody who asks for one of them."""
    assert row.models
    for id_ in row.models:
        price = api(id_)
        assert price
        assert price.input.median == row.input[1]


@pytest.mark.parametrize("id_", [id_ for id_ in MODELS if id_.endswith(("-FP8", "-AWQ")) and api(id_[:-4])])
def test_a_quantized_copy_of_a_model_has_its_api_price(id_: str) -> None:
    assert api(id_) == api(id_[:-4])


@pytest.mark.parametrize("id_", ["7B", "13B", "745B MoE", "meta-llama/Llama-2-7b-hf"])
def test_a_model_that_no_api_offers_has_no_price(id_: str) -> None:
    assert api(id_) is None


def test_an_unknown_field_of_a_price_is_refused_by_name() -> None:
    row = rental_rows()[0].model_dump() | {"source": ["a"], "currency": "EUR"}
    with pytest.raises(ValueError, match=r"currency\n  Extra inputs are not permitted"):
        RentalRow.model_validate(row, context={"a": "A"})
