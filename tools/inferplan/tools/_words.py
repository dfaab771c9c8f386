"""Quantities as engineers write them in sentences."""

from collections.abc import Iterator
from decimal import Decimal

from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.placement import domain_size
from inferplan.core.units import GB, GIB, MILLI, MILLION, TB


def gb(value: float) -> str:
    """Bytes as decimal gigabytes.

    >>> gb(389.2e9), gb(1_490e9), gb(5.37e9), gb(268_435)
    ('389 GB', '1,490 GB', '5.4 GB', '0.00027 GB')
    """
    return f"{significant(value / GB)} GB"


def gib(value: float) -> str:
    """Bytes as binary gibibytes.

    >>> gib(8 * 2**30)
    '8 GiB'
    """
    return f"{significant(value / GIB)} GiB"


def significant(value: float) -> str:
    """A number: whole above 100, one decimal above 1, two significant digits below; thousands grouped.

    >>> [significant(x) for x in (0, 0.0123, 1.34, 8.0, 72.7, 389.2, 34669.6)]
    ['0', '0.012', '1.3', '8', '72.7', '389', '34,670']
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.8f}".rstrip("0").rstrip(".") or "0"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1.

    >>> count(1, "user"), count(1200, "user")
    ('1 user', '1,200 users')
    """
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def nodes(number: int, gpu: Gpu, *, size: int) -> str:
    """`2 nodes`, with the link that joins them where one does: `2 nodes of one NVLink 5 domain`."""
    said, domain = count(number, "node"), domain_size(gpu, node_size=size)
    if number == 1 or domain == size:
        return said
    return f"{said} of {f'one {gpu.link} domain' if number * size <= domain else f'several {gpu.link} domains'}"


def devices(number: int, title: str) -> str:
    """GPUs of a type.

    >>> devices(5, "H100 SXM")
    '5 x H100 SXM'
    """
    return f"{number:,} x {title}"


def title(model: Model) -> str:
    """A model's name in a heading: of a size class its id, else its title.

    >>> from inferplan.catalog.models import MODELS
    >>> title(MODELS["70B"]), title(MODELS["Qwen/Qwen3-8B"])
    ('70B', 'Qwen3 8B')
    """
    return model.id if model.is_size_class else model.title


def subject(model: Model, article: str = "a") -> str:
    """A model's name in a sentence; a size class with its article.

    >>> from inferplan.catalog.models import MODELS
    >>> subject(MODELS["70B"]), subject(MODELS["Qwen/Qwen3-8B"])
    ('a 70B-class model', 'Qwen3 8B')
    """
    return f"{article} {model.id}-class model" if model.is_size_class else model.title


def params(number: float) -> str:
    """A number of parameters as in the names of models.

    >>> params(70_553_706_496), params(745e9), params(494_032_768)
    ('70.6B', '745B', '494M')
    """
    scaled, suffix = (number / GB, "B") if number >= GB else (number / MILLION, "M")
    if number >= TB:
        scaled, suffix = number / TB, "T"
    text = f"{scaled:.1f}" if scaled < 100 else f"{scaled:.0f}"
    return f"{text.removesuffix('.0')}{suffix}"


def usd(value: float) -> str:
    """US dollars: with cents below 100, whole above, two significant digits below ten cents.

    >>> usd(3.894), usd(22743.4), usd(0.0021), usd(0.0998), usd(0.0000307)
    ('$3.89', '$22,743', '$0.0021', '$0.10', '$0.000031')
    """
    if value and abs(value) < 0.0995:
        return f"${_decimal(value, 2)}"
    return f"${value:,.2f}" if abs(value) < 100 else f"${value:,.0f}"


def unit_price(value: float) -> str:
    """The price of a million tokens with the digits of `_figures.unit_price`, cents at least.

    >>> unit_price(12.3), unit_price(0.245), unit_price(0.5), unit_price(0.0245), unit_price(9576)
    ('$12.30', '$0.245', '$0.50', '$0.0245', '$9,576')
    """
    shown = "" if value >= 1 else _decimal(value, 3)
    return f"${shown}" if len(shown.partition(".")[2]) > 1 else usd(value)


def _decimal(value: float, digits: int) -> str:
    """A number below 1 to so many significant digits, never with an exponent: `0.000031`."""
    return f"{Decimal(f'{value:.{digits}g}'):f}"


def seconds(value: float) -> str:
    """A duration; in milliseconds below a second.

    >>> seconds(0.0243), seconds(0.0031), seconds(1.25), seconds(95)
    ('24 ms', '3.1 ms', '1.2 s', '95 s')
    """
    if value < 1:
        milli = value / MILLI
        return f"{milli:.0f} ms" if milli >= 10 else f"{milli:.1f} ms"
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def layout(tp: int, pp: int, dp: int, ep: int = 1) -> str:
    """Parallel degrees above 1 in words.

    >>> layout(8, 2, 3), layout(1, 1, 1), layout(1, 1, 4, 4)
    ('tensor 8 x pipeline 2 x data 3', 'one GPU', 'data 4, experts over 4')
    """
    named = [f"{name} {degree:,}" for name, degree in (("tensor", tp), ("pipeline", pp), ("data", dp)) if degree > 1]
    return (" x ".join(named) or "one GPU") + (f", experts over {ep:,}" if ep > 1 else "")


def degrees(of: Layout, experts_over: int = 0) -> str:
    """The degrees of a layout in words; groups of data-parallel attention count as data, and share the experts.

    `experts_over` are the GPUs that share them where those are a tensor group.

    >>> degrees(Layout(tp=2, attention_dp=4, dp=2))
    'tensor 2 x data 8, experts over 8'
    """
    return layout(of.tp, of.pp, of.data, max(of.ep, experts_over))


def printable(text: str) -> str:
    r"""The text with every control, direction or half character escaped.

    >>> printable("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def join(items: list[str], *, last: str = "and") -> str:
    """Items as a list in a sentence.

    >>> join(["a"]), join(["a", "b"]), join(["a", "b", "c"], last="or")
    ('a', 'a and b', 'a, b or c')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def beyond_training(model: Model, context: int, *, cuts: bool = False) -> Iterator[str]:
    """That a context exceeds what the checkpoint was trained for; nothing for a size class.

    Most engines refuse to start then; one that `cuts` gives each user the shorter context.
    """
    if model.is_beyond_training(context):
        does = "llama-server cuts each user's context to that" if cuts else "engines refuse more"
        trained = f"The model was trained for contexts up to {model.architecture.max_positions:,} tokens"
        yield f"{trained}; unless told otherwise, {does}."
