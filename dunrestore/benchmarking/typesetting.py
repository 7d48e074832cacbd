"""Tables as Markdown and as LaTeX."""

from dunrestore.benchmarking.tables import Cell, Table


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown."""
    lines = [f"### {table.title}", ""]
    lines.append(f"| {' | '.join(table.columns)} |")
    lines.append("|---" + "|---:" * (len(table.columns) - 1) + "|")
    for row in table.rows:
        cells = (_markdown_escaped(cell) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def _markdown_escaped(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|").replace("*", "\\*")
    return f"**{text}**" if cell.leading else text


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "Δ": r"$\Delta$",
    "*": r"$^{*}$",
}


def latex(table: Table) -> str:
    """The table in LaTeX, with booktabs' rules as in the paper."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex_escaped(table.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\toprule",
        " & ".join(_latex_escaped(column) for column in table.columns) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        cells = (
            rf"\textbf{{{_latex_escaped(cell.text)}}}"
            if cell.leading
            else _latex_escaped(cell.text)
            for cell in row
        )
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.note:
        lines.append(rf"\par\footnotesize {_latex_escaped(table.note)}")
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
