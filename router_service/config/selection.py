"""Whether every selection policy has what it needs: models to weigh, and a source of prices or latencies.

Owns the checks of `selection_policy` and `model_metrics_sources`, and finds the files of prices; what is read from the
sources while serving is `router_service.selection`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from router_service.config.models import Config, MetricsSource, SelectionPolicy
from router_service.config.prices import parse_prices
from router_service.config.providers import parse_base_url
from router_service.config.references import catalog_of_models
from router_service.config.report import Location, Report
from router_service.config.units import format_duration
from router_service.errors import ConfigError, InvalidRequest
from router_service.routing.catalog import Catalog, Target
from router_service.routing.resolve import match_model

SOURCES = "model_metrics_sources"

_PROVIDERS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"cost": ("models.dev", "digitalocean"), "latency": ("envoy", "prometheus")}
)
_NEEDED_BY = MappingProxyType({"cost": "cheapest", "latency": "fastest"})
_OWN_KEYS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"query": ("prometheus",), "label": ("prometheus",), "model_aliases": ("models.dev", "digitalocean")}
)
# Envoy's clusters for the other orders of a pool's models end like this (`catalog.Pool.upstream`).
_ENDS_LIKE_AN_ORDER = re.compile(r"~\d+(\.\d+)*")
_MOST_SHOWN = 3  # mistakes of a file of prices

Read = Callable[[Path], str]  # raises ConfigError


def with_absolute_files(config: Config, directory: Path) -> Config:
    """The configuration with its files of prices where they are, seen from anywhere."""
    sources = [
        source if source.file is None else source.model_copy(update={"file": str((directory / source.file).absolute())})
        for source in config.model_metrics_sources
    ]
    return config.model_copy(update={SOURCES: sources})


def check(config: Config, report: Report, read: Read | None) -> None:
    """Reports everything wrong with policies and sources.

    `read` gives the text of a file of prices; without it what is in them is not looked at.
    """
    _check_policies(config, report)
    _check_names(config, report)
    _check_one_of_each(config, report)
    for index, source in enumerate(config.model_metrics_sources):
        _check_source(source, (SOURCES, index), report)
        if source.type == "cost" and source.file is not None and read is not None:
            _check_prices(source.file, (SOURCES, index, "file"), report, read)
    _check_sources_fit_policies(config, report)


def _policies(config: Config) -> Iterator[tuple[Location, SelectionPolicy, Sequence[str]]]:
    """Every policy, with where it stands and the models that it orders."""
    for name, alias in config.model_aliases.items():
        yield ("model_aliases", name, "selection_policy"), alias.selection_policy, alias.targets
    for index, preference in enumerate(config.routing_preferences):
        yield ("routing_preferences", index, "selection_policy"), preference.selection_policy, preference.models


def _check_policies(config: Config, report: Report) -> None:
    catalog = catalog_of_models(config)
    for location, policy, models in _policies(config):
        if not models and policy != SelectionPolicy():
            report.error(location, "orders the models of an alias, and this one has one target", "write targets: [ … ]")
        if not policy.weights:
            continue
        if policy.prefer != "random":
            report.error(
                (*location, "weights"),
                f"are not read with prefer: {policy.prefer}",
                "write prefer: random, or remove them",
            )
        weights = {_find(catalog, name): weight for name, weight in policy.weights.items()}
        members = {_find(catalog, name) for name in models}
        if policy.prefer == "random" and members and not any(weights.get(member, 1.0) for member in members):
            report.warn((*location, "weights"), "are all 0, so that none is drawn", "give one of the models a weight")
        for name in policy.weights:
            if (found := _find(catalog, name)) is None or found not in members:
                report.error(
                    (*location, "weights", name), "is not one of these models", f"write one of {', '.join(models)}"
                )


def _find(catalog: Catalog, name: str) -> Target | None:
    try:
        return match_model(catalog, name)
    except InvalidRequest:
        return None


def _check_names(config: Config, report: Report) -> None:
    names: list[tuple[Location, str]] = [(("model_aliases", name), name) for name in config.model_aliases]
    names += [
        (("routing_preferences", index, "name"), preference.name)
        for index, preference in enumerate(config.routing_preferences)
    ]
    for location, name in names:
        if _ENDS_LIKE_AN_ORDER.search(name[name.rfind("~") :] if "~" in name else ""):
            report.error(location, "ends in ~ and numbers, which Envoy's clusters for orders do", "choose another name")


def _check_one_of_each(config: Config, report: Report) -> None:
    first: dict[str, int] = {}
    for index, source in enumerate(config.model_metrics_sources):
        kind = "latency" if source.type == "latency" else source.provider or "file"
        if kind in first:
            line = report.line((SOURCES, first[kind]))
            what = "source of latencies" if kind == "latency" else "file of prices" if kind == "file" else kind
            report.error((SOURCES, index), f"is a second {what}, beside line {line}", "keep one of the two")
        first.setdefault(kind, index)


def _check_source(source: MetricsSource, location: Location, report: Report) -> None:
    providers = _PROVIDERS[source.type]
    choices = " or ".join(providers)
    if source.provider is not None and source.provider not in providers:
        report.error((*location, "provider"), f"has no {_said(source)}", f"write {choices}")
    elif source.file is not None and source.type == "latency":
        report.error((*location, "file"), "holds prices", f"write provider: {choices} for latencies")
    elif source.provider is None and source.file is None:
        todo = f"write {choices}" if source.type == "latency" else f"write {choices}, or a file: of prices"
        report.error((*location, "provider"), "is missing", todo)
    elif source.provider is not None and source.file is not None:
        report.error((*location, "file"), "stands beside a provider", "write each as a source of its own")
    for key, readers in _OWN_KEYS.items():
        is_default = getattr(source, key) == MetricsSource.model_fields[key].get_default(call_default_factory=True)
        if not is_default and source.provider not in readers:
            report.error((*location, key), f"is only read with provider: {' or '.join(readers)}", "remove it")
    if source.refresh_interval is not None and source.refresh_interval < 1:
        written = format_duration(source.refresh_interval)
        report.error((*location, "refresh_interval"), f"is {written}", "write 1s or more")
    if source.provider == "prometheus" and source.type == "latency":
        if source.url is None:
            report.error((*location, "url"), "is missing", "write Prometheus' address, like http://prometheus:9090")
        if source.query is None:
            report.error((*location, "query"), "is missing", "write PromQL with one number for each model, in seconds")
    if source.url is not None:
        _check_url(source.url, (*location, "url"), report)


def _said(source: MetricsSource) -> str:
    return "prices" if source.type == "cost" else "latencies"


def _check_url(url: str, location: Location, report: Report) -> None:
    try:
        parse_base_url(url)
    except ValueError as error:
        report.error(location, str(error), "write it like https://host:port/path")


def _check_prices(file: str, location: Location, report: Report, read: Read) -> None:
    try:
        _, problems = parse_prices(read(Path(file)))
    except ConfigError as error:
        problems = [replace(problem, todo="its path is relative to this file's") for problem in error.problems]
    for problem in problems[:_MOST_SHOWN]:
        where = f"line {problem.line}: " if problem.line else ""
        path = f"{problem.path} " if problem.path else ""
        report.error(location, f"{Path(file).name}: {where}{path}{problem.what}", problem.todo)
    if len(problems) > _MOST_SHOWN:
        report.error(location, f"{Path(file).name}: {len(problems) - _MOST_SHOWN} more lines are wrong", "correct them")


def _check_sources_fit_policies(config: Config, report: Report) -> None:
    preferred = {policy.prefer for _, policy, models in _policies(config) if models}
    has_costs = any(source.type == "cost" for source in config.model_metrics_sources)
    if not has_costs and not report.has_left_out_in(SOURCES):
        for location, policy, models in _policies(config):
            if policy.prefer == "cheapest" and models:
                report.warn(
                    (*location, "prefer"),
                    "has no prices to go by, so the models are tried in the order written",
                    "add to model_metrics_sources {type: cost, file: prices.yaml}, or provider: models.dev",
                )
    for index, source in enumerate(config.model_metrics_sources):
        if _NEEDED_BY[source.type] not in preferred:
            report.warn(
                (SOURCES, index),
                f"is not read: no selection_policy has prefer: {_NEEDED_BY[source.type]}",
                "set it on a preference or an alias with targets, or remove this source",
            )
