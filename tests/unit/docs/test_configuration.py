"""docs/configuration.md says what the code does: `make docs` has been run, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

from router_service.config.load import loads
from router_service.config.manual import write_tables

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/configuration.md").read_text()


def test_the_generated_tables_are_up_to_date() -> None:
    assert write_tables(PAGE) == PAGE, "run `make docs`"


def test_every_file_that_the_page_links_to_exists() -> None:
    links = re.findall(r"\]\((\.\./[^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_section_that_the_page_links_to_has_its_heading() -> None:
    headings = {
        re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in re.findall(r"^#+ (.*)", PAGE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_the_example_of_apis_loads_without_a_warning_of_them() -> None:
    (text,) = re.findall(r"## Which API reaches which model\n.*?```yaml\n(.*?)```", PAGE, re.S)
    loaded = loads(text, {"AZURE_OPENAI_API_KEY": "k", "DEEPSEEK_API_KEY": "k"})
    assert loaded.warnings == ()
    assert [sorted(model.apis) for model in loaded.catalog.models] == [
        ["chat", "embeddings", "responses"],
        ["messages"],
    ]


def test_the_smallest_file_loads_without_a_warning() -> None:
    (text,) = re.findall(r"## The smallest file\n\n```yaml\n(.*?)```", PAGE, re.S)
    assert loads(text, {"OPENAI_API_KEY": "k"}).warnings == ()
