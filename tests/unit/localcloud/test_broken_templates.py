"""What the terminal of `make up` shows of broken templates."""

import json
import time
from pathlib import Path

from localcloud.broken_templates import BrokenTemplates, TemplateNews

FAULT = "gcp/cost/own.yml:3:1: a template has no `colour`"


def line(event: str, **fields: object) -> str:
    return json.dumps({"event": event, **fields})


def test_a_fault_is_shown_when_it_appears_or_changes_and_once() -> None:
    news, read = TemplateNews(), line("templates_read", templates=[])
    broken, other = line("template_broken", problem=FAULT), line("template_broken", problem="gcp/cost/own.yml:4:1: x")
    assert list(news.of(["no JSON", "[]", '"text"', line("run_started"), broken])) == []
    assert list(news.of([read])) == [f"Broken template:\n{FAULT}"]
    assert list(news.of([broken, read, line("run_started")])) == []
    assert list(news.of([other, read])) == ["Broken template:\ngcp/cost/own.yml:4:1: x"]
    assert list(news.of([read])) == ["All templates can be run."]
    assert list(news.of([read])) == []


def test_the_log_is_followed_while_it_grows_and_when_it_begins_anew(tmp_path: Path) -> None:
    log, said = tmp_path / "executor.log", list[str]()
    whole = f"{line('template_broken', problem=FAULT)}\n{line('templates_read')}\n"
    with BrokenTemplates(log, said.append, every_seconds=0.005):
        log.write_text(whole[:30])
        with log.open("a") as further:
            further.write(whole[30:])
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.005)
        log.write_text(f"{line('templates_read')}\n")
    assert said == [f"Broken template:\n{FAULT}", "All templates can be run."]
