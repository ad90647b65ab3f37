"""What a client's `model` means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router_service.errors import InvalidRequest, RequestError, UnknownModel
from router_service.routing.catalog import Catalog, Model, Pool
from router_service.routing.resolve import Auto, Named, find_model, resolve

CATALOG = Catalog(
    models=(
        Model("openai/gpt-5", "openai", "gpt-5"),
        Model("openai/gpt-4o", "openai", "gpt-4o"),
        Model("azure", "azure_openai", "gpt-4o"),
        Model("groq/*", "groq", "*"),
        Model("together_ai/meta-llama/Llama-3", "together_ai", "meta-llama/Llama-3"),
        Model("backup", "openai", "gpt-5"),
    ),
    aliases={
        "fast": "gpt-5",
        "faster": "fast",
        "you-choose": "auto",
        "chooser": "you-choose",
        "quick": "groq/llama-3.1-8b",
        "ring-a": "ring-b",
        "ring-b": "ring-a",
        "gpt-5": "groq/x",
    },
)


@pytest.mark.parametrize(
    ("requested", "model", "key", "alias"),
    [
        pytest.param("openai/gpt-5", "openai/gpt-5", "openai/gpt-5", None, id="provider/id"),
        pytest.param("gpt-5", "openai/gpt-5", "openai/gpt-5", None, id="bare id of one provider, before an alias"),
        pytest.param("azure", "azure_openai/gpt-4o", "azure", None, id="entry name"),
        pytest.param("azure_openai/gpt-4o", "azure_openai/gpt-4o", "azure", None, id="provider/id of a named entry"),
        pytest.param("backup", "openai/gpt-5", "backup", None, id="second entry of a model by its name"),
        pytest.param(
            "meta-llama/Llama-3",
            "together_ai/meta-llama/Llama-3",
            "together_ai/meta-llama/Llama-3",
            None,
            id="bare id with a slash",
        ),
        pytest.param("groq/any:thing", "groq/any:thing", "groq/*", None, id="wildcard member"),
        pytest.param("groq/a/b", "groq/a/b", "groq/*", None, id="wildcard member with a slash"),
        pytest.param("fast", "openai/gpt-5", "openai/gpt-5", "fast", id="alias"),
        pytest.param("faster", "openai/gpt-5", "openai/gpt-5", "faster", id="alias of an alias"),
        pytest.param("quick", "groq/llama-3.1-8b", "groq/*", "quick", id="alias of a wildcard member"),
    ],
)
def test_a_name_finds_its_model(requested: str, model: str, key: str, alias: str | None) -> None:
    found = resolve(CATALOG, requested)
    assert isinstance(found, Named)
    assert (found.target.model, found.target.entry.key, found.alias) == (model, key, alias)


@pytest.mark.parametrize(
    ("requested", "alias"),
    [(None, None), ("", None), ("auto", None), ("you-choose", "you-choose"), ("chooser", "chooser")],
)
def test_nothing_or_an_auto_name_lets_the_router_choose(requested: str | None, alias: str | None) -> None:
    assert resolve(CATALOG, requested) == Auto(alias)


@pytest.mark.parametrize(
    ("requested", "error", "message"),
    [
        pytest.param(
            "openai/gpt5",
            UnknownModel,
            "The model 'openai/gpt5' does not exist here. Did you mean openai/gpt-5, openai/gpt-4o?",
            id="typing error",
        ),
        pytest.param(
            "zzz",
            UnknownModel,
            "The model 'zzz' does not exist here. GET /v1/models lists what is served.",
            id="nothing near",
        ),
        pytest.param(
            "gpt-4o",
            InvalidRequest,
            "The model 'gpt-4o' is offered by several providers: write azure_openai/gpt-4o or openai/gpt-4o.",
            id="ambiguous bare id",
        ),
    ],
)
def test_a_name_that_cannot_be_served_says_what_to_write(
    requested: str, error: type[RequestError], message: str
) -> None:
    with pytest.raises(error) as refused:
        resolve(CATALOG, requested)
    assert (refused.value.message, refused.value.param) == (message, "model")


@pytest.mark.parametrize(
    "requested",
    [
        pytest.param("anthropic/gpt-5", id="another provider's model"),
        pytest.param("groq/", id="empty member"),
        pytest.param("groq/a b", id="space"),
        pytest.param("groq/a\r\nx-evil: 1", id="header injection"),
        pytest.param("groq/" + "a" * 201, id="too long"),
        pytest.param("groq/é", id="not ASCII"),
        pytest.param("groq/*", id="the wildcard itself"),
        pytest.param("groq", id="provider alone"),
        pytest.param("ring-a", id="aliases in a ring"),
        pytest.param("OpenAI/GPT-5", id="other case"),
    ],
)
def test_a_model_is_never_guessed(requested: str) -> None:
    with pytest.raises(UnknownModel):
        resolve(CATALOG, requested)


def test_an_alias_with_targets_means_them_in_their_order_and_another_alias_may_point_to_it() -> None:
    azure, gpt_5 = (find_model(CATALOG, name) for name in ("azure", "openai/gpt-5"))
    catalog = replace(CATALOG, aliases={"chat": "talk"}, alias_targets={"talk": (azure, gpt_5)})
    assert resolve(catalog, "talk") == Named(Pool("alias/talk", (azure, gpt_5)), "talk")
    assert resolve(catalog, "chat") == Named(Pool("alias/talk", (azure, gpt_5)), "chat")


@pytest.mark.parametrize("requested", ["gpt-5", "fast", "only"])
def test_a_model_that_is_alone_has_its_fallbacks_behind_it(requested: str) -> None:
    gpt_5, azure = (find_model(CATALOG, name) for name in ("openai/gpt-5", "azure"))
    catalog = replace(CATALOG, fallbacks={"openai/gpt-5": (azure,)}, alias_targets={"only": (gpt_5,)})
    found = resolve(catalog, requested)
    assert isinstance(found, Named)
    assert found.pool == Pool("fallback/openai/gpt-5", (gpt_5, azure))


def test_a_long_unknown_name_is_not_echoed_whole() -> None:
    with pytest.raises(UnknownModel) as refused:
        find_model(CATALOG, "x" * 10_000)
    assert len(refused.value.message) < 300
