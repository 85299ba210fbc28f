"""Comments as headings and text."""

import re

_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\bE\.g)\.\s+(?=[A-Z`0-9])")


def first_sentence(comment: str) -> tuple[str, str]:
    """The first sentence without its full stop, which viewers take for a heading, and the rest."""
    end = _END.search(comment)
    return (comment[: end.start()], comment[end.end() :]) if end else (comment.removesuffix("."), "")


def paragraphs(*texts: str) -> str:
    """Those that are not empty, as paragraphs of Markdown."""
    return "\n\n".join(text for text in texts if text)
