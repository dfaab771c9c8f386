"""The only scale factors in the house: everything inside `core` is bytes, seconds, tokens and USD."""

KB = 10**3
MB = 10**6
GB = 10**9
TB = 10**12
KIB = 2**10
MIB = 2**20
GIB = 2**30

TERA = 10**12
GIGA = 10**9
KILO = 10**3
MILLI = 1e-3
MICRO = 1e-6
MILLION = 10**6

SECONDS_PER_HOUR = 3600
HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12
HOURS_PER_MONTH = 730
"""365 days × 24 hours / 12 months: the month cloud price lists bill by. [h]"""
DAYS_PER_MONTH = HOURS_PER_MONTH / HOURS_PER_DAY
"""30.417 days, so that 24 hours a day is exactly one `HOURS_PER_MONTH`. [days]"""
