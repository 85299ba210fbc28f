"""The templates: each compiles, and none needs what the Content-Security-Policy refuses."""

import re
from pathlib import Path

import pytest

from console.app import navigation, static_files
from console.settings import ConsoleSettings
from console.web.guards import CSP
from console.web.pages import HERE, Pages, utc_now

FOLDER = HERE / "templates"
TEMPLATES = sorted(FOLDER.rglob("*.html"))
REFUSED = re.compile(r"\sstyle=|\son[a-z]+=|<style|javascript:|<script(?![^>]*(?:src=|type=\"application/json\"))", re.IGNORECASE)
FORM = re.compile(r"<form[^>]*method=\"post\".*?</form>", re.DOTALL)


def named(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(navigation(), static_files(ConsoleSettings()), utc_now)


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_a_template_compiles_and_keeps_to_the_policy(pages: Pages, path: Path) -> None:
    assert pages.compiles(named(path))
    assert REFUSED.findall(path.read_text()) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_each_form_sends_its_token(path: Path) -> None:
    forms = FORM.findall(path.read_text())
    assert [form[:80] for form in forms if "csrf_field(csrf)" not in form and 'name="csrf"' not in form] == []


def test_what_the_policy_refuses_would_be_found() -> None:
    for text in ('<p style="x">', '<b onclick="x">', "<script>x</script>", '<a href="javascript:x">', "<style>"):
        assert REFUSED.search(text), text
    for text in ('<script src="x" defer></script>', '<script type="application/json" id="x">{}</script>', '<option value="on">'):
        assert not REFUSED.search(text), text
    assert "unsafe" not in CSP
