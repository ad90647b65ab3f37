"""Catalogues' shapes, and which of their prices is whose."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.routing.catalog import Model, Target
from router_service.routing.ranking import blended_price
from router_service.selection.catalogues import (
    digitalocean_names,
    models_dev_names,
    read_digitalocean,
    read_models_dev,
)
from router_service.selection.source import known

# As https://models.dev/api.json has it, less what is not read.
MODELS_DEV = {
    "openai": {
        "id": "openai",
        "env": ["OPENAI_API_KEY"],
        "name": "OpenAI",
        "models": {
            "gpt-5": {
                "id": "gpt-5",
                "name": "GPT-5",
                "reasoning": True,
                "cost": {"input": 1.25, "output": 10, "cache_read": 0.125},
                "limit": {"context": 400000, "output": 128000},
            },
            "gpt-oss": {"id": "gpt-oss", "name": "without a price"},
            "half": {"id": "half", "cost": {"input": 1}},
            "varies": {"id": "varies", "cost": {"input": -1, "output": -1}},
        },
    },
    "google": {"id": "google", "models": {"gemini-2.5-flash": {"cost": {"input": 0.3, "output": 2.5}}}},
    "empty": {"id": "empty"},
}

# As https://api.digitalocean.com/v2/gen-ai/models/catalog has it, less what is not read.
DIGITALOCEAN = {
    "data": [
        {
            "model_id": "openai-gpt-oss-120b",
            "name": "gpt-oss-120b",
            "creator": "OpenAI",
            "pricing": {"input_price_per_million": 0.0000001, "output_price_per_million": 0.0000007},
        },
        {"model_id": "whole", "name": "w", "pricing": {"input_price_per_million": 3, "output_price_per_million": 15}},
        {"model_id": "free", "name": "f", "pricing": None},
    ],
    "links": {"pages": {"next": "https://api.digitalocean.com/v2/gen-ai/models/catalog?page=2"}},
    "meta": {"page": 1, "pages": 2, "total": 4},
}


def target(provider: str, id_: str, name: str | None = None) -> Target:
    return Target(Model(name or f"{provider}/{id_}", provider, id_), id_)


def test_a_price_blends_three_parts_of_input_with_one_of_output() -> None:
    assert blended_price(1.25, 10) == pytest.approx((3 * 1.25 + 10) / 4)


def test_models_dev_names_models_by_provider_and_leaves_out_those_without_both_prices() -> None:
    page = read_models_dev(json.dumps(MODELS_DEV).encode())
    assert page.prices == {
        "openai/gpt-5": blended_price(1.25, 10),
        "google/gemini-2.5-flash": blended_price(0.3, 2.5),
    }
    assert page.next is None


def test_digitaloceans_prices_of_one_token_are_those_of_a_million() -> None:
    page = read_digitalocean(json.dumps(DIGITALOCEAN).encode())
    assert page.prices == {
        "openai-gpt-oss-120b": pytest.approx(blended_price(0.1, 0.7)),
        "openai/openai-gpt-oss-120b": pytest.approx(blended_price(0.1, 0.7)),
        "whole": blended_price(3, 15),
    }
    assert page.next == "https://api.digitalocean.com/v2/gen-ai/models/catalog?page=2"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(target("openai", "gpt-5"), 1.0, id="by provider and id"),
        pytest.param(target("gemini", "flash"), 2.0, id="by the catalogue's name of the provider"),
        pytest.param(target("openai", "gpt-5", name="mine"), 3.0, id="by the entry's own name first"),
        pytest.param(target("other", "gpt-5"), None, id="never by the id of another provider"),
        pytest.param(Target(Model("groq/*", "groq", "*"), "llama"), 4.0, id="a wildcard's member"),
    ],
)
def test_models_dev_finds_a_model(asked: Target, expected: float | None) -> None:
    prices = {"openai/gpt-5": 1.0, "google/flash": 2.0, "mine": 3.0, "groq/llama": 4.0, "gpt-5": 5.0}
    assert known([asked], prices, models_dev_names).get(asked.key) == expected


def test_only_digitaloceans_own_provider_is_known_by_the_id_alone() -> None:
    own, other = target("digitalocean", "llama"), target("vllm", "llama")
    assert known([own, other], {"llama": 1.0}, digitalocean_names) == {"digitalocean/llama": 1.0}


# A catalogue is another's file: whatever it holds, the answer is prices or a DecodeError, and every price is a number.
@given(st.binary() | st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_a_catalogue_answers_is_prices_or_an_error(answer: object) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    for read in (read_models_dev, read_digitalocean):
        try:
            page = read(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        assert all(isinstance(price, float) for price in page.prices.values())
