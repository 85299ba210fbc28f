"""Where text is printed: a console that is not controlled by what it prints."""

import os
from collections.abc import Iterable
from typing import TextIO

from convergence.cli.output.printable import printable
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment


class Screen(Console):
    """Only rich itself moves the cursor and sets colours: each piece of text is made printable on its way out, whatever it came in."""

    @classmethod
    def of(cls, file: TextIO) -> "Screen":
        """Words and colours as they are given. NO_COLOR (https://no-color.org) and TERM=dumb are obeyed."""
        plainly = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(file=file, no_color=plainly or None, highlight=False, markup=False, emoji=False, soft_wrap=not file.isatty())

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of text and the control sequences of a renderable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
