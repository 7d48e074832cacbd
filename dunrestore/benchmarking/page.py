"""What the benchmark's page shows, from a run's results."""

import base64
from collections.abc import Sequence
from pathlib import Path

from dunrestore.benchmarking import tables
from dunrestore.benchmarking.findings import Findings
from dunrestore.benchmarking.previews import Previews
from dunrestore.benchmarking.quantities import QUANTITIES, show
from dunrestore.benchmarking.results import Method, Results, Row
from dunrestore.reports import plots
from dunrestore.reports.bench_page import Page, PageTable, PictureRow, Section, Shown

INLINE_LIMIT = 40_000_000
"""Bytes of pictures up to which they stand inside the page; more of them stay beside it."""


def build_page(
    results: Results, findings: Sequence[Findings], previews: Previews | None, folder: Path
) -> Page:
    """The page of a run; pictures are inlined, or beside the page if they are many."""
    overview = [tables.noise(findings), tables.speed(results.speed)]
    sources = _Sources(previews, folder)
    return Page(
        title=f"Benchmark of {results.data}",
        facts=_facts(results),
        notes=results.notes,
        legend=tables.legend(len(results.images)),
        overview=[_page_table(table) for table in overview if table is not None],
        plots=_plots(results, findings),
        sections=[_section(results, found, previews, sources) for found in findings],
        reference=[_page_table(table) for table in tables.published()],
    )


def _facts(results: Results) -> dict[str, str]:
    environment = ", ".join(f"{key} {value}" for key, value in results.environment.items())
    options = ", ".join(f"{key} {value}" for key, value in results.options.items())
    facts = {
        "made": results.created,
        "protocol": f"{results.protocol.name}, seed {results.protocol.seed}",
        "pictures": str(len(results.images)),
        "options": options,
        "environment": environment,
    }
    if results.left_out:
        facts["left out"] = "; ".join(results.left_out)
    for method in results.methods:
        if method.kind == "model":
            facts[method.name] = f"{method.facts['architecture']}, SHA-256 {method.facts['sha256']}"
    return facts


def _page_table(table: tables.Table) -> PageTable:
    rows = [[(cell.text, cell.leading) for cell in row] for row in table.rows]
    return PageTable(table.title, table.columns, rows, table.note)


def _plots(results: Results, findings: Sequence[Findings]) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    slots = {method.name: index for index, method in enumerate(results.methods)}
    noisy = tables.noise_blocks(findings)
    if len(noisy) > 1:
        series = [
            plots.Series(
                tables.method_title(method),
                tuple(_mean(found, method.name, "psnr") for found in noisy),
                slots[method.name],
                dashed=method.kind == "oracle",
            )
            for method in noisy[0].methods
        ]
        categories = [tables.noise_name(found) for found in noisy]
        made.append(("PSNR against noise", plots.lines(categories, series, "PSNR, dB")))
    first = findings[0]
    points = [
        plots.Point(speed.method, speed.mpixels_per_second, mean, slots[speed.method])
        for speed in results.speed
        if (mean := _mean(first, speed.method, "psnr")) is not None
    ]
    if points:
        title = f"Quality against speed ({first.block.title})"
        made.append((title, plots.scatter(points, "megapixels a second", "PSNR, dB")))
    return made


def _mean(found: Findings, method: str, quantity: str) -> float | None:
    summary = found.summaries.get(method, {}).get(quantity)
    return None if summary is None else summary.mean


def _section(
    results: Results, found: Findings, previews: Previews | None, sources: "_Sources"
) -> Section:
    shown = [tables.quality(found, tables.WHOLE)]
    if tables.has_parts(found):
        shown.append(tables.quality(found, tables.PARTS, title="by parts"))
    shown += [tables.quality(found, tables.SHORT, "median"), *tables.comparisons(found)]
    pictures: list[PictureRow] = []
    if previews is not None:
        methods = [method for method in found.methods if method.kind in previews.kinds]
        for row in _worst_first(results, found, methods):
            pictures += _picture_rows(results, found, row.image, methods, previews, sources)
    failures = [f"{row.method} failed on {row.image}: {row.error}" for row in found.failures]
    return Section(
        anchor=f"block-{found.block.name.replace(' ', '-')}",
        title=found.block.title,
        tables=[_page_table(table) for table in shown],
        rows=pictures,
        failures=failures,
    )


def _worst_first(results: Results, found: Findings, methods: Sequence[Method]) -> list[Row]:
    """The first method's rows, the picture that it did worst on first."""
    if not methods:
        return []
    rows = [
        row
        for row in results.rows
        if (row.block, row.method) == (found.block.name, methods[0].name) and row.error is None
    ]

    def badness(row: Row) -> tuple[float, str]:
        inside = row.values.get("psnr_inside")
        return (inside if inside is not None else row.values["psnr"] or 0.0, row.image)

    return sorted(rows, key=badness)


def _picture_rows(
    results: Results,
    found: Findings,
    image: str,
    methods: Sequence[Method],
    previews: Previews,
    sources: "_Sources",
) -> list[PictureRow]:
    block = found.block.name
    made: list[PictureRow] = []
    for method in methods:
        wanted = {
            "input": previews.path(block, image, "input"),
            "result": previews.path(block, image, "result", method.name),
            "truth": previews.path(block, image, "truth"),
            "largest error": previews.path(block, image, "error", method.name),
        }
        row = next(
            (
                r
                for r in results.rows
                if (r.block, r.image, r.method) == (block, image, method.name)
            ),
            None,
        )
        if row is None or row.error is not None or not all(p.exists() for p in wanted.values()):
            continue
        shown = [Shown(label, sources.address(path)) for label, path in wanted.items()]
        made.append(PictureRow(f"{image}: {method.name}", _figures(row), shown))
    return made


def _figures(row: Row) -> str:
    parts = [
        f"{QUANTITIES[key].title} {show(key, value)}"
        for key in tables.SHORT
        if (value := row.values.get(key)) is not None
    ]
    return " · ".join(parts)


class _Sources:
    """Addresses of pictures: inside the page while there is room for all, else beside it."""

    def __init__(self, previews: Previews | None, folder: Path) -> None:
        self._folder = folder
        files = [] if previews is None else previews.folder.glob("*.jpg")
        self._inline = sum(file.stat().st_size for file in files) <= INLINE_LIMIT

    def address(self, path: Path) -> str:
        if not self._inline:
            return path.relative_to(self._folder).as_posix()
        return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
