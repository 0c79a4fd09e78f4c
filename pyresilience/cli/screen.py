"""Where the table is drawn: with rich, on a bare terminal, or into a pipe."""

from __future__ import annotations

import shutil
import sys
from contextlib import AbstractContextManager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Self

from .table import Column, Figures, Layout, headline, layout, ordered

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

HEAD = 3
"""Lines above the rows: the headline, a notice or none, the titles."""
NO_FUNCTIONS = "No function has metrics yet: give its cache CacheConfig(enable_metrics=True)."
_COLOURS = {"open": "bold red", "half-open": "yellow", "closed": "green"}


class Screen(AbstractContextManager["Screen"]):
    """Draws one table after another below each other: what a pipe, a file or `--once` gets.

    Args:
        sort: The column to sort by.
        reverse: The smallest first.
    """

    live = False
    """Whether each table takes the place of the one before, and somebody looks on."""

    def __init__(self, sort: str, *, reverse: bool) -> None:
        self._sort = sort
        self._reverse = reverse
        self._drawn = 0

    def show(self, figures: Figures, notice: str = "") -> None:
        """Draw *figures*, and *notice* if there is one."""
        between = "\n" if self._drawn else ""
        self._drawn += 1
        sys.stdout.write(between + "\n".join(self._lines(figures, notice)) + "\n")
        sys.stdout.flush()

    def __exit__(self, *_: object) -> None:
        return None

    def _lines(self, figures: Figures, notice: str) -> list[str]:
        table = self._layout(figures)
        width = _size()[0]
        body = table.lines() if table.cells else [NO_FUNCTIONS]
        return [_cut(headline(figures), width), *([_cut(notice, width)] if notice else []), *body]

    def _layout(self, figures: Figures) -> Layout:
        columns, rows = _size()
        functions = ordered(figures["functions"], self._sort, reverse=self._reverse)
        return layout(functions, columns, max(rows - HEAD - 1, 1) if self.live else None)


class Terminal(Screen):
    """Draws each table over the one before, on a terminal without rich."""

    live = True

    def show(self, figures: Figures, notice: str = "") -> None:
        """Draw *figures*, and *notice* if there is one."""
        lines = self._lines(figures, notice)
        # Home, each line and what is left of the old one, and what is left of the old screen: nothing flickers.
        sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()

    def __enter__(self) -> Self:
        sys.stdout.write("\x1b[2J")
        return self


class RichTerminal(Screen):
    """Draws each table over the one before, in colour, and leaves the terminal as it was."""

    live = True

    def __init__(self, sort: str, *, reverse: bool) -> None:
        super().__init__(sort, reverse=reverse)
        from rich.console import Console
        from rich.live import Live

        self._live: Live = Live(console=Console(), screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, figures: Figures, notice: str = "") -> None:
        """Draw *figures*, and *notice* if there is one."""
        from rich.console import Group
        from rich.text import Text

        table = self._layout(figures)
        width = _size()[0]
        parts: list[Any] = [Text(_cut(headline(figures), width), style="bold")]
        parts += [Text(_cut(notice, width), style="bold red")] if notice else []
        parts += [_coloured(table) if table.cells else Text(NO_FUNCTIONS)]
        parts += [Text(f"and {table.hidden} more", style="dim")] if table.hidden else []
        self._live.update(Group(*parts), refresh=True)


def screen(*, live: bool, plain: bool, sort: str, reverse: bool) -> Screen:
    """The best screen there is: *live* on a terminal, *plain* without rich."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no µ shows a mark instead
    if not live:
        return Screen(sort, reverse=reverse)
    if not plain:
        try:
            return RichTerminal(sort, reverse=reverse)
        except ImportError:  # rich is not installed
            pass
    return Terminal(sort, reverse=reverse)


def _coloured(table: Layout) -> Table:
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold reverse")
    for column, width in zip(table.columns, table.widths, strict=True):
        name = column.name == "function"
        drawn.add_column(column.title, justify="left" if name else "right", width=width, no_wrap=True)
    for row in table.cells:
        # Text, not strings: a name is no markup.
        drawn.add_row(*(Text(cell, _style(column, cell)) for column, cell in zip(table.columns, row, strict=True)))
    return drawn


def _style(column: Column, cell: str) -> str:
    if column.name == "circuit":
        return _COLOURS.get(cell, "dim")
    return "dim" if cell in ("0", "-") else ""


def _cut(text: str, width: int) -> str:
    """The beginning of *text* in so many columns."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _size() -> tuple[int, int]:
    """Columns and rows of the terminal; of a pipe, what COLUMNS says, or room for every column."""
    size = shutil.get_terminal_size(fallback=(200, 50))
    return size.columns, size.lines
