"""The cases in tests/data/cases keep what their README and issue promise: enough, varied, well-formed."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

import yaml

from router_service.classify.embedded import EmbeddedClassifier
from router_service.classify.encoder import load_encoder
from router_service.config.load import load_routes
from router_service.config.models import Router, RoutingPreference
from router_service.evaluate.cases import OTHER, Case, read_cases
from router_service.evaluate.measure import measure
from router_service.evaluate.run import classify_cases

FOLDER = Path(__file__).parents[2] / "data" / "cases"
ROUTES = [
    RoutingPreference.model_validate({**entry, "models": ["any/model"]})
    for entry in yaml.safe_load((FOLDER / "routes.yaml").read_text(encoding="utf-8"))["routing_preferences"]
]
IN_SCOPE_FLOOR, TURN_FLOOR, AUROC_FLOOR = 0.906, 0.76, 0.82
NAMES = [route.name for route in ROUTES]
FILES = {path.name: read_cases(path, NAMES) for path in sorted(FOLDER.glob("*.jsonl"))}
CASES = [case for cases in FILES.values() for case in cases]


def group_by_conversation(cases: Sequence[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        if case.conversation is not None:
            found.setdefault(case.conversation, []).append(case)
    return found


def language(case: Case) -> str:
    return (case.conversation or case.id).split("-")[-2]


def is_follow_up(case: Case) -> bool:
    return sum(turn.role == "user" for turn in case.turns.turns) > 1


def last_words(case: Case) -> list[str]:
    return re.findall(r"\w+", case.turns.turns[-1].content.lower())


def test_there_are_twelve_routes_and_each_has_twenty_cases_or_more() -> None:
    counts = Counter(case.expected for case in CASES)
    assert len(NAMES) == 12
    assert all(counts[name] >= 20 for name in NAMES), counts


def test_every_case_is_labelled_and_ends_with_its_users_turn() -> None:
    for case in CASES:
        assert case.expected is not None, case.id
        assert case.turns.turns[-1].role == "user", case.id


def test_no_two_cases_share_an_id() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


def test_one_third_are_follow_ups_and_one_fifth_belongs_to_no_route() -> None:
    follow_ups = sum(is_follow_up(case) for case in CASES) / len(CASES)
    no_route = sum(case.expected == OTHER for case in CASES) / len(CASES)
    assert 0.33 <= follow_ups <= 0.40
    assert 0.18 <= no_route <= 0.22


def test_most_are_english_and_a_fifth_is_in_twelve_other_languages_or_more() -> None:
    languages = Counter(language(case) for case in CASES)
    assert 0.75 <= languages["en"] / len(CASES) <= 0.82
    assert len(languages) >= 13


def test_a_conversation_is_alternating_turns_and_each_case_continues_the_one_before() -> None:
    for name, cases in group_by_conversation(CASES).items():
        assert len(cases) > 1, name
        for before, now in pairwise(cases):
            assert now.turns.turns[: len(before.turns.turns)] == before.turns.turns, now.id
            assert len(now.turns.turns) == len(before.turns.turns) + 2, now.id
        roles = [turn.role for turn in cases[-1].turns.turns]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"], name


def test_conversations_switch_their_subject_and_return_from_none_of_the_routes() -> None:
    switches = [
        (before.expected, now.expected)
        for cases in group_by_conversation(CASES).values()
        for before, now in pairwise(cases)
        if before.expected != now.expected
    ]
    assert sum(OTHER not in switch for switch in switches) >= 30
    assert sum(before == OTHER for before, _ in switches) >= 5


def test_lengths_vary_from_a_word_to_a_page() -> None:
    lengths = sorted(len(case.turns.turns[-1].content) for case in CASES)
    assert lengths[len(lengths) // 10] < 25
    assert lengths[-10] > 500
    assert lengths[-1] > 1500


def test_no_two_last_turns_are_nearly_the_same() -> None:
    # Four words in a row are an idiom; half of all of them shared by two requests would be a template.
    runs = {}
    for case in CASES:
        words = last_words(case)
        runs[case.id] = {tuple(words[start : start + 4]) for start in range(len(words) - 3)}
    close = [
        (one, two)
        for one, two in combinations([name for name in runs if runs[name]], 2)
        if len(runs[one] & runs[two]) > 0.2 * min(len(runs[one]), len(runs[two]))
    ]
    assert close == []
    texts = Counter(" ".join(last_words(case)) or case.turns.turns[-1].content for case in CASES)
    assert [text for text, count in texts.items() if count > 1] == []


def test_the_ids_tell_the_route() -> None:
    for case in CASES:
        first_word = {"maths and reasoning": "maths", "image prompts and captions": "image"}
        slug = first_word.get(str(case.expected), str(case.expected).removesuffix(" questions").replace(" ", "-"))
        assert slug in case.id, case.id


def test_the_readme_counts_what_is_there() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+\.jsonl) \| (\d+) \|", readme, flags=re.MULTILINE))
    assert rows == {name: str(len(cases)) for name, cases in FILES.items()}
    for name, count in re.findall(r"^\| (\S+\.jsonl) \| \d+ \| (\d+) conversations", readme, flags=re.MULTILINE):
        assert len(group_by_conversation(FILES[name])) == int(count)
    foreign = [case for case in CASES if language(case) != "en"]
    totals = (
        f"Altogether {len(CASES)} cases, {sum(map(is_follow_up, CASES))} of them follow-ups in a conversation, "
        f"{sum(case.expected == OTHER for case in CASES)} labelled `other`, {len(foreign)} in another language than "
        f"English ({len({language(case) for case in foreign})} of them)."
    )
    assert totals in " ".join(readme.split())


async def test_the_embedded_classifier_is_as_good_as_it_was_measured() -> None:
    # The floors stand two points below what the built-in encoder reaches (training/MODEL_CARD.md).
    preferences = load_routes(FOLDER / "routes.yaml").catalog.preferences
    classifier = EmbeddedClassifier(preferences, load_encoder(), Router())
    outcomes = await classify_cases(classifier, CASES, clock=time.perf_counter, on_case=lambda: None)
    await classifier.aclose()
    found = measure(classifier.backend, outcomes, NAMES)
    assert found.in_scope is not None
    assert found.conversations is not None
    assert found.conversations.turn is not None
    assert found.in_scope.value >= IN_SCOPE_FLOOR
    assert found.conversations.turn.value >= TURN_FLOOR
    assert (found.auroc_other or 0) >= AUROC_FLOOR
