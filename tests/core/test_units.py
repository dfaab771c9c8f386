"""The scale factors: decimal and binary, hours and months."""

from inferplan.core import units


def test_a_gigabyte_is_a_billion_bytes_and_a_gibibyte_2_to_the_30() -> None:
    assert units.GB == 1_000_000_000
    assert units.GIB == 1_073_741_824


def test_each_decimal_step_is_1000_and_each_binary_step_1024() -> None:
    assert units.TB == 1000 * units.GB == 1000**2 * units.GB // 1000
    assert units.GB == 1000**2 * units.KB
    assert units.GIB == 1024 * units.MIB == 1024**2 * units.KIB


def test_a_micro_is_a_thousandth_of_a_milli() -> None:
    assert units.MICRO * 1000 == units.MILLI
    assert units.MILLI * 1000 == 1
    assert units.MILLION * 1_000_000 == units.TERA


def test_twelve_billing_months_are_365_days() -> None:
    assert units.HOURS_PER_MONTH * units.MONTHS_PER_YEAR == 365 * units.HOURS_PER_DAY


def test_a_month_of_full_days_is_exactly_the_month_that_clouds_bill() -> None:
    assert units.DAYS_PER_MONTH * units.HOURS_PER_DAY == units.HOURS_PER_MONTH
