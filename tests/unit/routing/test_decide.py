"""One decision, in at most two steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router_service.errors import InvalidRequest, NoDefault, UnsupportedApi
from router_service.routing.api import CONVERSATIONS, OPENAI_COMPATIBLE, Api
from router_service.routing.catalog import Catalog, Model, Preference, Target
from router_service.routing.decide import Undecided, decide, settle
from router_service.routing.decision import Classification, Decision, Reason, Source
from router_service.routing.ranking import Moment, Prefer, SelectionPolicy, Standings

SMALL, LARGE, CODE = (Target(Model(f"openai/{id_}", "openai", id_), id_) for id_ in ("small", "large", "code"))
CATALOG = Catalog(
    models=(SMALL.entry, LARGE.entry, CODE.entry),
    aliases={"fast": "small", "any": "auto"},
    preferences=(Preference("code generation", "writing code", (CODE, LARGE)),),
    default=LARGE,
)
MATCHED = Classification(Reason.MATCHED, route="code generation", backend="embedded")
NO_ROUTE = Classification(Reason.NO_ROUTE, backend="embedded")


def test_a_named_model_is_decided_without_a_classifier() -> None:
    assert decide(CATALOG, "openai/small") == Decision(SMALL, "model/openai/small", Source.MODEL, Reason.REQUESTED)


def test_an_alias_is_the_route_of_its_decision() -> None:
    expected = Decision(SMALL, "model/openai/small", Source.ALIAS, Reason.REQUESTED, route="fast")
    assert decide(CATALOG, "fast") == expected


@pytest.mark.parametrize("requested", [None, "", "auto", "any"])
def test_nothing_named_waits_for_the_classifier(requested: str | None) -> None:
    assert decide(CATALOG, requested) == Undecided()


def test_a_matched_preference_serves_its_first_model() -> None:
    decision = settle(CATALOG, Undecided(), MATCHED)
    assert (decision.target, decision.source, decision.reason, decision.route) == (
        CODE,
        Source.PREFERENCE,
        Reason.MATCHED,
        "code generation",
    )


def test_a_preference_with_several_models_goes_to_its_pool_and_one_alone_to_its_model() -> None:
    single = replace(CATALOG, preferences=(replace(CATALOG.preferences[0], models=(CODE,)),))
    assert settle(CATALOG, Undecided(), MATCHED).upstream == "pool/code generation"
    assert settle(single, Undecided(), MATCHED).upstream == "model/openai/code"


def test_a_model_with_fallbacks_goes_to_its_pool_wherever_it_was_chosen_alone() -> None:
    catalog = replace(CATALOG, fallbacks={LARGE.entry.key: (CODE,)})
    named = decide(catalog, "large")
    assert isinstance(named, Decision)
    assert named.upstream == settle(catalog, Undecided(), NO_ROUTE).upstream == "fallback/openai/large"
    assert settle(catalog, Undecided(), MATCHED).upstream == "pool/code generation"


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in (Reason.MATCHED, Reason.REQUESTED)])
def test_without_a_match_the_default_serves_and_says_why(reason: Reason) -> None:
    decision = settle(CATALOG, Undecided(), Classification(reason))
    assert (decision.target, decision.source, decision.reason, decision.route) == (LARGE, Source.DEFAULT, reason, None)


def test_without_a_match_or_a_default_the_error_says_what_to_set() -> None:
    with pytest.raises(NoDefault, match=r"No routing preference fits .* 'default: true'"):
        settle(replace(CATALOG, default=None), Undecided(), NO_ROUTE)
    with pytest.raises(NoDefault, match=r"name one in 'model', or have .* routing_preferences or .* 'default: true'"):
        settle(Catalog(models=(SMALL.entry,)), Undecided(), Classification(Reason.NO_PREFERENCES))


def test_an_overridden_model_stands_when_no_preference_matches() -> None:
    catalog = replace(CATALOG, override_explicit_model=True)
    undecided = decide(catalog, "openai/small")
    assert isinstance(undecided, Undecided)
    assert settle(catalog, undecided, MATCHED).target == CODE
    kept = settle(catalog, undecided, NO_ROUTE)
    assert (kept.target, kept.source, kept.reason) == (SMALL, Source.MODEL, Reason.REQUESTED)
    assert kept.classification == NO_ROUTE


CLAUDE = Target(Model("anthropic/claude", "anthropic", "claude", apis=OPENAI_COMPATIBLE | {Api.MESSAGES}), "claude")
MIXED = Catalog(
    models=(SMALL.entry, CLAUDE.entry, CODE.entry),
    aliases={"fast": "small"},
    alias_targets={"both": (SMALL, CLAUDE)},
    fallbacks={SMALL.entry.key: (CODE, CLAUDE)},
    preferences=(
        Preference("code generation", "writing code", (CODE, CLAUDE, SMALL)),
        Preference("maths", "", (CODE, SMALL)),
    ),
    default=SMALL,
)


def decided(requested: str, api: Api) -> tuple[str, str]:
    decision = decide(MIXED, requested, api)
    assert isinstance(decision, Decision)
    return decision.model, decision.upstream


def test_a_model_that_does_not_take_the_api_is_left_out_of_a_preference() -> None:
    assert settle(MIXED, Undecided(Api.CHAT), MATCHED).upstream == "pool/code generation"
    decision = settle(MIXED, Undecided(Api.MESSAGES), MATCHED)
    assert (decision.target, decision.upstream) == (CLAUDE, "model/anthropic/claude")
    assert (decision.source, decision.reason, decision.route) == (
        Source.PREFERENCE,
        Reason.MATCHED,
        "code generation",
    )


def test_an_alias_and_the_default_leave_it_out_too() -> None:
    assert decided("both", Api.CHAT) == ("openai/small", "alias/both")
    assert decided("both", Api.MESSAGES) == ("anthropic/claude", "model/anthropic/claude")
    assert decided("fast", Api.MESSAGES) == ("anthropic/claude", "model/anthropic/claude")
    by_default = settle(MIXED, Undecided(Api.MESSAGES), NO_ROUTE)
    assert (by_default.target, by_default.source) == (CLAUDE, Source.DEFAULT)


def test_a_model_that_the_client_names_is_never_replaced_by_its_fallback() -> None:
    assert decided("small", Api.CHAT) == ("openai/small", "fallback/openai/small")
    with pytest.raises(UnsupportedApi) as refused:
        decide(MIXED, "small", Api.MESSAGES)
    assert refused.value.message == (
        "openai/small does not take requests to /v1/messages: name a model that does in 'model' (anthropic/claude); "
        "openai/small can be asked at /v1/chat/completions."
    )
    assert (refused.value.status, refused.value.param) == (400, "model")


def test_a_pool_of_which_no_model_takes_the_api_is_refused() -> None:
    maths = Classification(Reason.MATCHED, route="maths")
    with pytest.raises(UnsupportedApi, match=r"^None of openai/code, openai/small takes requests to /v1/messages: "):
        settle(MIXED, Undecided(Api.MESSAGES), maths)


def test_where_no_model_takes_the_api_the_error_says_so() -> None:
    with pytest.raises(UnsupportedApi, match=r"requests to /v1/responses: no model here does; openai/small can be"):
        decide(MIXED, "small", Api.RESPONSES)


def test_a_model_that_is_not_listed_is_not_offered() -> None:
    hidden = replace(MIXED, models=(SMALL.entry, replace(CLAUDE.entry, listed=False)))
    with pytest.raises(UnsupportedApi, match="no model here does"):
        decide(hidden, "small", Api.MESSAGES)


def test_an_overridden_model_that_does_not_take_the_api_is_refused_only_if_no_preference_matches() -> None:
    catalog = replace(MIXED, override_explicit_model=True)
    undecided = decide(catalog, "small", Api.MESSAGES)
    assert isinstance(undecided, Undecided)
    assert settle(catalog, undecided, MATCHED).target == CLAUDE
    with pytest.raises(UnsupportedApi):
        settle(catalog, undecided, NO_ROUTE)


@pytest.mark.parametrize("api", [api for api in Api if api not in CONVERSATIONS])
def test_an_api_without_a_conversation_is_routed_by_name_only(api: Api) -> None:
    overriding = replace(CATALOG, override_explicit_model=True)
    assert isinstance(decide(overriding, "small", api), Decision)
    with pytest.raises(InvalidRequest, match="routed by name only"):
        decide(CATALOG, "auto", api)


def test_a_decision_names_the_models_behind_the_first() -> None:
    assert settle(MIXED, Undecided(Api.CHAT), MATCHED).behind == (CLAUDE, SMALL)
    assert settle(MIXED, Undecided(Api.MESSAGES), MATCHED).behind == ()
    fast = decide(MIXED, "fast")
    assert isinstance(fast, Decision)
    assert (fast.target, fast.behind) == (SMALL, (CODE, CLAUDE))


def test_a_pool_with_a_policy_begins_with_what_ranks_first_at_that_moment() -> None:
    cheapest = replace(CATALOG.preferences[0], policy=SelectionPolicy(Prefer.CHEAPEST))
    catalog = replace(CATALOG, preferences=(cheapest,))
    moment = Moment(Standings(prices={"openai/large": 1.0, "openai/code": 2.0}))
    decision = settle(catalog, Undecided(moment=moment), MATCHED)
    assert (decision.target, decision.behind, decision.ranked_by) == (LARGE, (CODE,), Prefer.CHEAPEST)
    assert decision.upstream == "pool/code generation~1.0"
    assert settle(catalog, Undecided(), MATCHED).upstream == "pool/code generation"


def test_an_alias_draws_its_lot() -> None:
    catalog = replace(
        CATALOG,
        alias_targets={"any of two": (SMALL, LARGE)},
        alias_policies={"any of two": SelectionPolicy(Prefer.RANDOM)},
    )
    decisions = [decide(catalog, "any of two", Api.CHAT, Moment(draw=draw)) for draw in (0.0, 0.9)]
    assert [decision.target for decision in decisions if isinstance(decision, Decision)] == [SMALL, LARGE]


def test_what_was_not_ranked_does_not_say_so() -> None:
    decision = settle(CATALOG, Undecided(), MATCHED)
    assert (decision.behind, decision.ranked_by) == ((LARGE,), Prefer.NONE)
