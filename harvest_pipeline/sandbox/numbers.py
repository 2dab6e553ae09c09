"""Exact decimals as Harvest writes them: `100.0`, `112.5`, `0.655` (REFERENCE 3).

Belongs here: making and rounding decimals. Does not belong here: what is computed with them.
"""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import lru_cache

ZERO = Decimal("0.0")
_CENT = Decimal("0.01")
_TENTH = Decimal("0.1")
_QUARTER = Decimal("0.25")


@lru_cache(maxsize=65536)
def exact(value: Decimal | int | str) -> Decimal:
    """The value with as many decimals as it needs, at least one."""
    number = Decimal(value).normalize()
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent < 0 else number.quantize(_TENTH)


def cents(value: Decimal | int) -> Decimal:
    """Money or hours rounded to two decimals, half up."""
    return exact(Decimal(value).quantize(_CENT, ROUND_HALF_UP))


@lru_cache(maxsize=4096)
def hours_of(minutes: int) -> Decimal:
    """Minutes as hours with two decimals (REFERENCE 9)."""
    return cents(Decimal(minutes) / 60)


@lru_cache(maxsize=65536)
def rounded_up(hours: Decimal) -> Decimal:
    """Hours after the sandbox's time rounding: up to the next quarter of an hour."""
    return exact((hours / _QUARTER).to_integral_value(ROUND_CEILING) * _QUARTER)


def total(values: "list[Decimal]") -> Decimal:
    """The sum, with at least one decimal."""
    return exact(sum(values, ZERO))
