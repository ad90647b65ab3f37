"""Reading a routing model's answer: every spelling that is accepted, and the outcome of every other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.routing.answer import Answer, match_name, parse_answer
from router_service.routing.decision import Reason

NAMES = ("code generation", "code_review", "what's new", 'say "hi"', "été")
MATCHED, NO_ROUTE, UNKNOWN, MALFORMED = Reason.MATCHED, Reason.NO_ROUTE, Reason.UNKNOWN_ROUTE, Reason.MALFORMED


@pytest.mark.parametrize(
    ("text", "reason", "route"),
    [
        pytest.param('{"route": "code generation"}', MATCHED, "code generation", id="as published"),
        pytest.param('{"route":"code generation"}\n', MATCHED, "code generation", id="compact, with a line end"),
        pytest.param("{'route': 'code generation'}", MATCHED, "code generation", id="single quotes"),
        pytest.param("{\"route\": 'code generation'}", MATCHED, "code generation", id="mixed quotes"),
        pytest.param("{'route': 'code generation',}", MATCHED, "code generation", id="a trailing comma"),
        pytest.param("{'route': 'what's new'}", MATCHED, "what's new", id="an apostrophe in single quotes"),
        pytest.param("{'route': 'what\\'s new'}", MATCHED, "what's new", id="an escaped apostrophe"),
        pytest.param("{'route': \"what's new\"}", MATCHED, "what's new", id="an apostrophe in double quotes"),
        pytest.param('{"route": "say \\"hi\\""}', MATCHED, 'say "hi"', id="escaped double quotes"),
        pytest.param('{"route": "say "hi""}', MATCHED, 'say "hi"', id="double quotes not escaped"),
        pytest.param('{"route": "\\u00e9t\\u00e9"}', MATCHED, "été", id="JSON escapes"),
        pytest.param('```json\n{"route": "code_review"}\n```', MATCHED, "code_review", id="a fenced block"),
        pytest.param('Sure:\n```\n{"route": "code_review"}\n```\nDone.', MATCHED, "code_review", id="a fence in prose"),
        pytest.param('[{"route": "code_review"}]', MATCHED, "code_review", id="a list of one"),
        pytest.param("[{'route': 'code_review'}]", MATCHED, "code_review", id="a list of one in single quotes"),
        pytest.param('{"route": "Code_Generation"}', MATCHED, "code generation", id="other case and separator"),
        pytest.param('{"route": "CodeReview"}', MATCHED, "code_review", id="no separator"),
        pytest.param('{"route": "code_review", "why": "it asks"}', MATCHED, "code_review", id="a member more"),
        pytest.param('{"route": "other"}', NO_ROUTE, None, id="other"),
        pytest.param("{'route': 'Other'}", NO_ROUTE, None, id="other, capitalised"),
        pytest.param('{"route": ""}', NO_ROUTE, None, id="empty"),
        pytest.param("{'route': ''}", NO_ROUTE, None, id="empty in single quotes"),
        pytest.param('{"route": null}', NO_ROUTE, None, id="null"),
        pytest.param("{'route': None}", NO_ROUTE, None, id="None"),
        pytest.param('{"route": "poetry"}', UNKNOWN, None, id="not configured"),
        pytest.param("{'route': 'poetry'}", UNKNOWN, None, id="not configured, in single quotes"),
        pytest.param('{"route": "code"}', UNKNOWN, None, id="the beginning of a name"),
        pytest.param("", MALFORMED, None, id="nothing"),
        pytest.param("code generation", MALFORMED, None, id="a bare name"),
        pytest.param('{"route": "code generation"', MALFORMED, None, id="cut off"),
        pytest.param('{"route": 5}', MALFORMED, None, id="a number"),
        pytest.param('{"route": ["code_review"]}', MALFORMED, None, id="a list for a name"),
        pytest.param('{"name": "code_review"}', MALFORMED, None, id="another member"),
        pytest.param("{}", MALFORMED, None, id="no member"),
        pytest.param("[]", MALFORMED, None, id="an empty list"),
        pytest.param('[{"route": "code_review"}, {"route": "other"}]', MALFORMED, None, id="two answers"),
        pytest.param('{"route": "code_review", "route": "other"}', MALFORMED, None, id="two members of one object"),
        pytest.param('I think {"route": "code_review"} fits.', MALFORMED, None, id="prose"),
        pytest.param("[" * 100_000, MALFORMED, None, id="too deep"),
    ],
)
def test_an_answer_has_one_meaning(text: str, reason: Reason, route: str | None) -> None:
    assert parse_answer(text, NAMES) == Answer(reason, route)


def test_a_name_that_fits_two_preferences_only_loosely_is_unknown() -> None:
    names = ("code review", "code_review")
    assert match_name("code-review", names) == Answer(UNKNOWN)
    assert match_name("code_review", names) == Answer(MATCHED, "code_review")


def test_a_preference_called_other_is_matched_before_the_word_for_none() -> None:
    assert match_name("other", ("code", "other")) == Answer(MATCHED, "other")
    assert match_name("OTHER", ("code", "other")) == Answer(UNKNOWN)


names = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["what's new", 'a "b"', "a'b\"c", "\\'", "other", "a, 'b': 'c"]
)


@given(st.lists(names, min_size=1, max_size=5, unique=True), st.data())
def test_every_configured_name_is_found_again_however_it_is_quoted(configured: list[str], data: st.DataObject) -> None:
    # Invariant: writing a configured name in any accepted form and reading it gives that name.
    name = data.draw(st.sampled_from(configured))
    text = json.dumps({"route": name}, ensure_ascii=data.draw(st.booleans()))
    form = data.draw(st.sampled_from(["{}", " {}\n", "[{}]", "```json\n{}\n```"]))
    if "```" not in text:
        assert parse_answer(form.format(text), configured) == Answer(MATCHED, name)
    assert parse_answer(f"{{'route': '{name}'}}", configured) == Answer(MATCHED, name) or "```" in name


@given(st.text() | st.from_regex(r"""\{['"]route['"]: ?['"][^}]*['"]\}"""), st.lists(names, max_size=4, unique=True))
def test_any_text_has_an_outcome_and_never_a_name_that_is_not_configured(text: str, configured: list[str]) -> None:
    # Invariant: an Answer, and its route is configured exactly when it is matched.
    answer = parse_answer(text, configured)
    assert (answer.reason is MATCHED) == (answer.route in configured)
    assert answer.reason in {MATCHED, NO_ROUTE, UNKNOWN, MALFORMED}
