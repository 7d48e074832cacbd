"""The tables of a benchmark, built once for the terminal, Markdown, LaTeX and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dunrestore.benchmarking.findings import Findings
from dunrestore.benchmarking.protocol import NOISE_TITLES, noise_title
from dunrestore.benchmarking.published import REMARK, TABLE_I, TABLE_III
from dunrestore.benchmarking.quantities import QUANTITIES, show, without_empty
from dunrestore.benchmarking.results import Method, Speed

PAPER = ("psnr", "ssim", "dssim", "lpips")
"""The columns of the paper's Table I."""

WHOLE = (*PAPER, "ciede2000", "ciede2000_p95")
PARTS = (
    "psnr_inside",
    "ssim_inside",
    "ciede2000_inside",
    "psnr_outside",
    "ssim_outside",
    "ciede2000_outside",
    "kept",
)
SHORT = (*WHOLE, "psnr_inside", "psnr_outside", "kept")

Statistic = Literal["mean", "median"]


@dataclass(frozen=True)
class Cell:
    """One cell; leading ones are printed bold."""

    text: str
    leading: bool = False


@dataclass(frozen=True)
class Table:
    """A table: the first column names, the others hold figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


LEGEND = (
    "Bold: the best blind method and those that the 95 % paired bootstrap interval does not tell"
    " apart from it. * oracle: given the true mask. in, out: inside and outside the damage."
    " kept: share of the undamaged pixels that are exactly the input's. exact: equal to the truth,"
    " which counts as 100 dB in averages."
)


def legend(pictures: int) -> str:
    """What the tables rest on, and how they are read."""
    return f"{pictures} picture{'s' * (pictures != 1)}. {LEGEND}"


def method_title(method: Method) -> str:
    """A method's name, with a star if it is an oracle."""
    return f"{method.name} *" if method.kind == "oracle" else method.name


def quality(
    found: Findings, keys: Sequence[str], statistic: Statistic = "mean", title: str = ""
) -> Table:
    """Every method of a block; columns in which nobody has a value are left out, but for LPIPS."""
    measured = {
        key
        for quantities in found.summaries.values()
        for key, summary in quantities.items()
        if summary is not None
    }
    shown = without_empty(keys, measured)
    failed = any(found.failed(method.name) for method in found.methods)
    rows: list[tuple[Cell, ...]] = []
    for method in found.methods:
        cells = [Cell(method_title(method))]
        for key in shown:
            summary = found.summaries[method.name][key]
            value = None if summary is None else getattr(summary, statistic)
            leading = statistic == "mean" and method.name in found.leaders.get(key, ())
            cells.append(Cell(show(key, value), leading))
        if failed:
            cells.append(Cell(str(found.failed(method.name))))
        rows.append(tuple(cells))
    columns = ["Method", *(QUANTITIES[key].title for key in shown)]
    title = title or ("medians" if statistic == "median" else "")
    title = f"{found.block.title}, {title}" if title else found.block.title
    return Table(title, (*columns, "failed") if failed else tuple(columns), tuple(rows))


def differences(found: Findings, quantity: str) -> Table | None:
    """Every model against every other method of its block; None without models."""
    rows: list[tuple[Cell, ...]] = []
    models = [method for method in found.methods if method.kind == "model"]
    for index, model in enumerate(models):
        others = [m for m in found.methods if m.kind != "model"] + models[index + 1 :]
        for other in others:
            difference = found.difference(model.name, other.name, quantity)
            if difference is None:
                continue
            interval = "n/a"
            if difference.low is not None and difference.high is not None:
                low, high = (_signed(quantity, v) for v in (difference.low, difference.high))
                interval = f"{low} to {high}"
            rows.append(
                (
                    Cell(model.name),
                    Cell(method_title(other)),
                    Cell(_signed(quantity, difference.mean)),
                    Cell(interval),
                    Cell(difference.verdict, difference.verdict == "better"),
                )
            )
    if not rows:
        return None
    title = f"{found.block.title}: difference in {QUANTITIES[quantity].title}"
    unit = QUANTITIES[quantity].unit
    mean = f"mean, {unit}" if unit else "mean"
    return Table(title, ("Model", "against", mean, "95 % interval", "the model is"), tuple(rows))


def _signed(quantity: str, value: float) -> str:
    digits = QUANTITIES[quantity].digits
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # + 0.0: never -0.00


def has_parts(found: Findings) -> bool:
    """Whether a block has any value besides those of the whole picture."""
    return any(found.summaries[m.name][key] for m in found.methods for key in PARTS)


def comparisons(found: Findings) -> list[Table]:
    """The tables of differences that are printed: in PSNR, inside the damage, and in SSIM."""
    made = (differences(found, key) for key in ("psnr", "psnr_inside", "ssim"))
    return [table for table in made if table is not None]


NOISE_KEYS = ("psnr", "ssim", "lpips")
"""The quantities of the paper's Table III."""


def noise_blocks(found: Sequence[Findings]) -> list[Findings]:
    """The blocks that differ from the first in their noise alone."""
    first = found[0].block
    return [f for f in found if (f.block.damage, f.block.fill) == (first.damage, first.fill)]


def noise_name(found: Findings) -> str:
    """A block's noise as the paper's Table III calls it."""
    return noise_title(found.block.noise)


def noise(found: Sequence[Findings], keys: Sequence[str] = NOISE_KEYS) -> Table | None:
    """The paper's Table III: models side by side under each noise; None for fewer than two.

    Args:
        found: of all blocks.
        keys: its quantities; a terminal has room for one.
    """
    blocks = noise_blocks(found)
    if len(blocks) < 2:
        return None
    models = [m for m in blocks[0].methods if m.kind == "model"] or [
        m for m in blocks[0].methods if m.kind == "blind"
    ]
    columns = ["Noise"]
    for key in keys:
        columns += [f"{QUANTITIES[key].title} {model.name}" for model in models]
    rows: list[tuple[Cell, ...]] = []
    for one in blocks:
        cells = [Cell(noise_name(one))]
        for key in keys:
            for model in models:
                summary = one.summaries.get(model.name, {}).get(key)
                text = show(key, None if summary is None else summary.mean)
                cells.append(Cell(text, model.name in one.leaders.get(key, ())))
        rows.append(tuple(cells))
    return Table("Noise on top of the damage", tuple(columns), tuple(rows))


def speed(speeds: Sequence[Speed]) -> Table | None:
    """How the methods ran; None if nothing was timed."""
    rows = tuple(
        (
            Cell(one.method),
            Cell(f"{one.mpixels_per_second:.3g}"),
            Cell(f"{one.peak_memory_mib:.0f}"),
            Cell("n/a" if one.multiply_adds_g is None else f"{one.multiply_adds_g:.1f}"),
        )
        for one in speeds
    )
    columns = ("Method", "megapixels/s", "peak memory, MiB", "G multiply-adds at 256x256")
    return Table("Speed", columns, rows) if rows else None


def published() -> list[Table]:
    """The paper's Tables I and III."""
    columns = ("Method", *(QUANTITIES[key].title for key in PAPER))
    rows = tuple(
        (
            Cell(row.method),
            *(
                Cell("-" if value is None else f"{value:.2f}")
                for value in (row.psnr, row.ssim, row.dssim, row.lpips)
            ),
        )
        for row in TABLE_I
    )
    first = Table("Published (Table I of the paper)", columns, rows, REMARK)
    names = [row.method for row in TABLE_III["none"]]
    columns = (
        "Noise",
        *(f"{QUANTITIES[key].title} {name}" for key in NOISE_KEYS for name in names),
    )
    rows = tuple(
        (
            Cell(NOISE_TITLES[noise_name]),
            *(Cell(f"{getattr(row, key):.2f}") for key in NOISE_KEYS for row in pair),
        )
        for noise_name, pair in TABLE_III.items()
    )
    return [first, Table("Published (Table III of the paper)", columns, rows, REMARK)]
