"""The files of a benchmark: results.json, results.csv, table.md, table.tex and the page."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dunrestore.benchmarking import tables
from dunrestore.benchmarking.findings import Findings, as_dict
from dunrestore.benchmarking.journal import plain
from dunrestore.benchmarking.page import build_page
from dunrestore.benchmarking.previews import Previews
from dunrestore.benchmarking.quantities import QUANTITIES
from dunrestore.benchmarking.results import Results
from dunrestore.benchmarking.typesetting import latex, markdown
from dunrestore.reports.bench_page import render
from dunrestore.storage.atomic import write_text

FILES = ("results.json", "results.csv", "table.md", "table.tex", "report.html")


def write(
    results: Results, findings: Sequence[Findings], previews: Previews | None, folder: Path
) -> None:
    """Write every file of ``FILES`` into ``folder``, each whole or not at all."""
    write_text(folder / "results.json", plain(as_dict(results, findings)))
    write_text(folder / "results.csv", _csv(results))
    write_text(folder / "table.md", _markdown(results, findings))
    write_text(folder / "table.tex", _latex(results, findings))
    write_text(folder / "report.html", render(build_page(results, findings, previews, folder)))


def _csv(results: Results) -> str:
    """One line a picture and method; empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["block", "image", "method", *QUANTITIES, "error"])
    for row in results.rows:
        values = (row.values.get(key) for key in QUANTITIES)
        shown = ("" if value is None else repr(value) for value in values)
        writer.writerow([row.block, row.image, row.method, *shown, row.error or ""])
    return text.getvalue()


def _markdown(results: Results, findings: Sequence[Findings]) -> str:
    parts = [f"# Benchmark of {results.data}", ""]
    parts += [f"{note}\n" for note in results.notes]
    parts.append(f"{tables.legend(len(results.images))}\n")
    if (side_by_side := tables.noise(findings)) is not None:
        parts.append(markdown(side_by_side))
    for found in findings:
        parts.append(markdown(tables.quality(found, tables.WHOLE)))
        if tables.has_parts(found):
            parts.append(markdown(tables.quality(found, tables.PARTS, title="by parts")))
        parts.append(markdown(tables.quality(found, tables.SHORT, "median")))
        for table in tables.comparisons(found):
            parts.append(markdown(table))
    if (speed := tables.speed(results.speed)) is not None:
        parts.append(markdown(speed))
    parts += [markdown(table) for table in tables.published()]
    return "\n".join(parts)


def _latex(results: Results, findings: Sequence[Findings]) -> str:
    parts = ["% needs \\usepackage{booktabs}", f"% {tables.legend(len(results.images))}\n"]
    parts += [latex(tables.quality(found, tables.PAPER)) for found in findings]
    if (side_by_side := tables.noise(findings)) is not None:
        parts.append(latex(side_by_side))
    parts += [latex(table) for table in tables.published()]
    return "\n".join(parts)
