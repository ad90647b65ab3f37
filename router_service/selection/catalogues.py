"""Prices from a public catalogue of models, or from a service that answers in the shape of one.

    models.dev      {"openai": {"models": {"gpt-5": {"cost": {"input": 1.25, "output": 10}}}}}     https://models.dev/api.json
    digitalocean    {"data": [{"model_id": "openai-gpt-oss-120b", "creator": "OpenAI",
                               "pricing": {"input_price_per_million": 1e-7, "output_price_per_million": 7e-7}}]}

A model without both prices, or with negative ones, is as one that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
import msgspec
from yarl import URL

from router_service.routing.catalog import Target
from router_service.routing.ranking import blended_price
from router_service.selection.source import SourceFailed, fetch, known, names_of

# Providers that models.dev knows by another name.
_MODELS_DEV_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "azure_openai": "azure",
        "gemini": "google",
        "qwen": "alibaba",
        "together_ai": "togetherai",
        "zhipu": "zhipuai",
    }
)

# DigitalOcean's catalogue calls its prices those of a million tokens and gives those of one. models.dev, which reads it
# too, tells the two apart by the same bound.
_LEAST_PER_MILLION = 0.001

_MOST_PAGES = 50


class Cost(msgspec.Struct):
    input: float | None = None
    output: float | None = None


class ModelsDevModel(msgspec.Struct):
    cost: Cost | None = None


class ModelsDevProvider(msgspec.Struct):
    models: dict[str, ModelsDevModel] = {}


class Pricing(msgspec.Struct):
    input_price_per_million: float | None = None
    output_price_per_million: float | None = None


class DigitalOceanModel(msgspec.Struct):
    model_id: str
    creator: str | None = None
    pricing: Pricing | None = None


class Pages(msgspec.Struct):
    next: str | None = None


class Links(msgspec.Struct):
    pages: Pages | None = None


class DigitalOceanPage(msgspec.Struct):
    data: list[DigitalOceanModel]
    links: Links | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Prices by the catalogue's own names, and where there are more of them."""

    prices: Mapping[str, float]
    next: str | None = None


def read_models_dev(body: bytes) -> Page:
    """Named `provider/id`. Raises msgspec.DecodeError."""
    providers = msgspec.json.decode(body, type=dict[str, ModelsDevProvider])
    return Page(
        {
            f"{provider_id}/{model_id}": price
            for provider_id, provider in providers.items()
            for model_id, model in provider.models.items()
            if model.cost is not None and (price := _blended(model.cost.input, model.cost.output)) is not None
        }
    )


def read_digitalocean(body: bytes) -> Page:
    """Named by the id alone, and by `creator/id`. Raises msgspec.DecodeError."""
    page = msgspec.json.decode(body, type=DigitalOceanPage)
    prices: dict[str, float] = {}
    for model in page.data:
        pricing = model.pricing or Pricing()
        price = _blended(_per_million(pricing.input_price_per_million), _per_million(pricing.output_price_per_million))
        if price is None:
            continue
        prices[model.model_id] = price
        if model.creator:
            prices[f"{model.creator.lower()}/{model.model_id}"] = price
    return Page(prices, page.links.pages.next if page.links and page.links.pages else None)


def _blended(input_price: float | None, output_price: float | None) -> float | None:
    """None where one of the two is missing, or negative as a price that varies is."""
    if input_price is None or output_price is None or min(input_price, output_price) < 0:
        return None
    return blended_price(input_price, output_price)


def _per_million(price: float | None) -> float | None:
    return price * 1e6 if price is not None and price < _LEAST_PER_MILLION else price


def models_dev_names(target: Target) -> tuple[str, ...]:
    provider = _MODELS_DEV_NAMES.get(target.entry.provider, target.entry.provider)
    return (*names_of(target), f"{provider}/{target.model_id}")


def digitalocean_names(target: Target) -> tuple[str, ...]:
    """The id alone is the catalogue's own model, which only its own provider serves at that price."""
    return (*names_of(target), *([target.model_id] if target.entry.provider == "digitalocean" else []))


@dataclass(frozen=True, slots=True)
class Shape:
    """How a catalogue is read, and what it may call a model."""

    read: Callable[[bytes], Page]
    names: Callable[[Target], tuple[str, ...]]


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "models.dev": Shape(read_models_dev, models_dev_names),
        "digitalocean": Shape(read_digitalocean, digitalocean_names),
    }
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`aliases` maps a name of the catalogue's to that of a model here."""

    name: str
    url: URL
    shape: Shape
    session: aiohttp.ClientSession
    targets: Sequence[Target]
    interval_s: float
    aliases: Mapping[str, str]

    async def read(self) -> Mapping[str, float]:
        prices: dict[str, float] = {}
        url = self.url
        for _ in range(_MOST_PAGES):
            page = self._page(await fetch(self.session, url))
            prices.update(page.prices)
            if page.next is None:
                break
            url = self._next(url, page.next)
        if not prices:
            raise SourceFailed("no model has a price")
        prices |= {ours: prices[theirs] for theirs, ours in self.aliases.items() if theirs in prices}
        return known(self.targets, prices, self.shape.names)

    def _next(self, url: URL, written: str) -> URL:
        try:
            return url.join(URL(written))
        except ValueError as error:
            raise SourceFailed("its next page has no address") from error

    def _page(self, body: bytes) -> Page:
        try:
            return self.shape.read(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceFailed(f"not {self.name}'s shape: {type(error).__name__}") from error
