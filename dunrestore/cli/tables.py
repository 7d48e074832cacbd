"""Tables on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from dunrestore.cli.console import Output, one_line

if TYPE_CHECKING:
    from dunrestore.benchmarking.tables import Cell, Table

_wide = Output(highlight=False, width=240)
"""Figures are never cut: off a terminal, and on a narrow one, tables take what they need."""


def show(table: "Table", *, text_columns: Sequence[int] = (0,)) -> None:
    """Print a table on stdout.

    Args:
        table: what to print; leading cells are bold.
        text_columns: columns that are set flush left.
    """
    shown = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        justify = "left" if index in text_columns else "right"
        shown.add_column(Text(column), justify=justify, no_wrap=True)
    for row in table.rows:
        shown.add_row(*(_text(cell) for cell in row))
    _wide.print(shown)
    if table.note:
        _wide.print(table.note, markup=False)


def _text(cell: "Cell") -> Text:
    return Text(one_line(cell.text), style="bold" if cell.leading else "")
