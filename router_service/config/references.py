"""What must hold between the sections of a file: names that exist once, are found, and mean what they seem to mean.

Owns every check on model names and aliases; preferences are checked by `preferences`, addresses and ports by
`addresses`. A name is looked up with
the routing core's own `match_model`, so that `check` and a request never disagree.

A check takes the validated configuration and reports; it changes nothing. An error is what cannot work. A warning is
what works otherwise than its author will expect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from router_service.config.models import Config
from router_service.config.report import Location, Report
from router_service.errors import InvalidRequest
from router_service.routing.catalog import WILDCARD, Catalog, Model, Target
from router_service.routing.resolve import match_model

_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL_ID = re.compile(r"[A-Za-z0-9@~][A-Za-z0-9._:/@+~-]{0,199}")
_ENTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")  # names Envoy clusters, secrets and their files
_MAX_NAME = 200  # of an alias or a preference; both are response headers
_MOST_SHOWN = 10  # names of a ring of aliases
_MOST_SUGGESTED = 20  # unknown names for which a near one is searched: 10 ms each among a thousand models


def check(config: Config, report: Report, *, models_known: bool = True, without_key: Collection[str] = ()) -> None:
    """Reports everything wrong between the sections.

    Without `models_known`, names that are not found are not reported. `without_key` are the keys of the entries whose
    secret is missing.
    """
    for rule in _RULES:
        rule(config, report)
    if models_known:
        _check_model_names(config, report)
    if len(without_key) < len(config.model_providers):  # else all is missing, which has been said
        _check_preferences_have_a_key(config, report, without_key)


def catalog_of_models(config: Config) -> Catalog:
    """Only the models, to look names up in."""
    return Catalog(
        models=tuple(
            Model(key=entry.key, provider=entry.provider, id=entry.model_id) for entry in config.model_providers
        )
    )


def _check_syntax_of_models(config: Config, report: Report) -> None:
    for index, entry in enumerate(config.model_providers):
        location: Location = ("model_providers", index, "model")
        if "/" not in entry.model:
            report.error(
                location,
                f'is "{_short(entry.model)}", without a provider',
                f"write it like openai/{_short(entry.model)}",
            )
        elif not _PROVIDER.fullmatch(entry.provider):
            report.error(
                location, f'names a provider "{_short(entry.provider)}"', "use letters, digits, dots, - and _ for it"
            )
        elif WILDCARD in entry.model_id and entry.model_id != WILDCARD:
            report.error(
                location,
                "holds a * beside other characters",
                f"write {entry.provider}/* for all of its models, or one model's id",
            )
        elif entry.model_id != WILDCARD and not _MODEL_ID.fullmatch(entry.model_id):
            report.error(
                location,
                "has a model id that no provider uses" if entry.model_id else "has no model id",
                f"write {entry.provider}/ and the id in letters, digits and . _ : / @ + -",
            )
        if entry.name is not None and not _ENTRY_NAME.fullmatch(entry.name):
            report.error(
                ("model_providers", index, "name"),
                f'is "{_short(entry.name)}"',
                "use letters, digits and . _ : / @ + - without spaces: it names Envoy's objects",
            )


def _check_keys_are_unique(config: Config, report: Report) -> None:
    first: dict[str, int] = {}
    for index, entry in enumerate(config.model_providers):
        if entry.key in first:
            earlier = config.model_providers[first[entry.key]]
            line = report.line(("model_providers", first[entry.key]))
            location: Location = ("model_providers", index, "name" if entry.name else "model")
            if entry.name and earlier.name:
                report.error(location, f"is the name of the entry in line {line}", "choose another name")
            else:
                report.error(
                    location, f"is {_short(entry.key)}, as in line {line}", "give one of the two a name of its own"
                )
        first.setdefault(entry.key, index)


def _check_default(config: Config, report: Report) -> None:
    defaults = [index for index, entry in enumerate(config.model_providers) if entry.default]
    for index in defaults:
        if config.model_providers[index].model_id == WILDCARD:
            report.error(
                ("model_providers", index, "default"),
                "makes a wildcard the default, which names no model",
                "set default: true on an entry with one model",
            )
    for index in defaults[1:]:
        line = report.line(("model_providers", defaults[0], "default"))
        report.error(
            ("model_providers", index, "default"), f"is a second default beside line {line}", "keep one of the two"
        )
    if not defaults and not report.has_left_out("default"):
        report.warn(
            ("model_providers",),
            "has no entry with default: true, so a request that no preference decides is answered with 400",
            "set default: true on the model that should answer it",
        )


def _check_wildcards(config: Config, report: Report) -> None:
    first: dict[str, int] = {}
    for index, entry in enumerate(config.model_providers):
        if entry.model_id != WILDCARD:
            continue
        if entry.provider in first:
            line = report.line(("model_providers", first[entry.provider]))
            report.warn(
                ("model_providers", index, "model"),
                f"is never used: line {line} already takes every model of {entry.provider}",
                "remove one of the two",
            )
        first.setdefault(entry.provider, index)


def _check_names_do_not_hide(config: Config, report: Report) -> None:
    """Requests are resolved in the order auto names, models, aliases: what comes later is never reached."""
    catalog = catalog_of_models(config)
    for index, name in enumerate(config.routing.auto_names):
        if (hidden := _found(catalog, name)) is not None:
            report.warn(
                ("routing", "auto_names", index),
                f'"{_short(name)}" is also the name of {hidden}, which can no longer be asked for by it',
                "choose another word",
            )
    for alias in config.model_aliases:
        location: Location = ("model_aliases", alias)
        if alias in config.routing.auto_names:
            report.warn(location, "is never used: it is one of routing.auto_names", "choose another name")
        elif (hidden := _found(catalog, alias)) is not None:
            report.warn(location, f"is never used: it is also the name of {hidden}, which wins", "choose another name")
    models = {entry.model: index for index, entry in enumerate(config.model_providers) if entry.key != entry.model}
    for index, entry in enumerate(config.model_providers):
        if entry.name in models and models[entry.name] != index:
            line = report.line(("model_providers", models[entry.name]))
            report.warn(
                ("model_providers", index, "name"),
                f"is never used: it is the model in line {line}",
                "choose another name",
            )


def _check_alias_cycles(config: Config, report: Report) -> None:
    followed: set[str] = set()
    for alias in config.model_aliases:
        chain: list[str] = []
        name = alias
        while name in config.model_aliases and name not in followed:
            followed.add(name)
            chain.append(name)
            name = config.model_aliases[name].target or ""
        if name not in chain:
            continue
        ring = chain[chain.index(name) :]
        if len(ring) == 1:
            report.error(("model_aliases", name), "points to itself", "name a model instead")
        else:
            way = " → ".join(_short(member) for member in (*ring[:_MOST_SHOWN], name))
            report.error(("model_aliases", name), f"goes round in a circle: {way}", "let one of them name a model")


def _check_aliases_have_a_target(config: Config, report: Report) -> None:
    for name, alias in config.model_aliases.items():
        if alias.target is None and not alias.targets:
            report.error(("model_aliases", name, "target"), "is missing", "write a model, another alias, or auto")
        elif alias.target is not None and alias.targets:
            report.error(("model_aliases", name), "has both target and targets", "write all models in targets")


def _check_names_of_aliases_and_preferences(config: Config, report: Report) -> None:
    names: list[tuple[Location, str]] = [(("model_aliases", alias), alias) for alias in config.model_aliases]
    names += [(("routing", "auto_names", index), name) for index, name in enumerate(config.routing.auto_names)]
    names += [
        (("routing_preferences", index, "name"), preference.name)
        for index, preference in enumerate(config.routing_preferences)
    ]
    for location, name in names:
        if not name.strip() or name != name.strip():
            report.error(location, "is empty, or has spaces around it", "write the name without them")
        elif len(name) > _MAX_NAME or not name.isprintable():
            report.error(
                location,
                f"is longer than {_MAX_NAME} characters, or has a line break",
                "write a short name in one line",
            )


def _check_router(config: Config, report: Report) -> None:
    router = config.router
    if router.backend == "embedded":
        if router.url:
            report.warn(
                ("router", "url"),
                "is not used by the embedded classifier",
                "set router.backend: vllm, or remove the url",
            )
    elif not router.url:
        report.error(
            ("router", "url"),
            f"is missing: backend {router.backend} asks a model server",
            "write its address, like http://arch-router:8000",
        )
    given = router.embedded.model_dir is not None or router.embedded.fit is not None
    if router.backend != "embedded" and given and router.fallback == "none":
        report.warn(("router", "embedded"), "is not used: fallback is none", "set fallback: embedded, or remove it")


def _check_model_names(config: Config, report: Report) -> None:
    names = _ModelNames(config, report)
    for alias, entry in config.model_aliases.items():
        target = entry.target
        if target is not None and target not in config.model_aliases and target not in config.routing.auto_names:
            names.find(target, ("model_aliases", alias, "target"), (*config.model_aliases, *config.routing.auto_names))
    for location, models, first in _lists_of_models(config):
        found = {first} if first is not None else set()
        for place, name in enumerate(models):
            if name in config.model_aliases and _found(names.catalog, name) is None:
                meant = config.model_aliases[name]
                report.error(
                    (*location, place),
                    f'"{_short(name)}" is an alias',
                    f"write {meant.target or ' and '.join(meant.targets)}",
                )
                continue
            model = names.find(name, (*location, place))
            if model in found:
                what = "is the model itself" if model == first else "is already in this list"
                report.warn((*location, place), f"{model} {what}", "remove it")
            elif model is not None:
                found.add(model)


def _lists_of_models(config: Config) -> Iterator[tuple[Location, Sequence[str], str | None]]:
    """Where models are listed that are tried one after the other, and the model that stands before the list."""
    for index, entry in enumerate(config.model_providers):
        yield ("model_providers", index, "fallbacks"), entry.fallbacks, entry.model
    for name, alias in config.model_aliases.items():
        yield ("model_aliases", name, "targets"), alias.targets, None
    for index, preference in enumerate(config.routing_preferences):
        yield ("routing_preferences", index, "models"), preference.models, None


class _ModelNames:
    """Looks names up, and reports those that name no model."""

    def __init__(self, config: Config, report: Report) -> None:
        self.catalog = catalog_of_models(config)
        self._report = report
        self._suggestions = _MOST_SUGGESTED

    def find(self, name: str, location: Location, more: Sequence[str] = ()) -> str | None:
        """The model that a name means, as `provider/id`; None, and an error, if there is none."""
        if name.endswith("/" + WILDCARD):
            what, todo = "is a wildcard, not a model", f"write one model: {name[:-1]}model-id"
        else:
            try:
                target = match_model(self.catalog, name)
            except InvalidRequest:
                choices = sorted(target.model for target in self.catalog.by_bare_id[name])
                what, todo = "is offered by several providers", f"write {' or '.join(choices)}"
            else:
                if target is not None:
                    return target.model
                what, todo = "is not a model of this file", self._near(name, more)
        self._report.error(location, f'"{_short(name)}" {what}', todo)
        return None

    def _near(self, name: str, more: Sequence[str]) -> str:
        self._suggestions -= 1
        known = [*self.catalog.by_name, *self.catalog.by_bare_id, *more] if self._suggestions >= 0 else []
        near = difflib.get_close_matches(name[:_MAX_NAME], known, n=1)
        return f"did you mean {near[0]}?" if near else "add it to model_providers, or name one that is there"


def _check_preferences_have_a_key(config: Config, report: Report, without_key: Collection[str]) -> None:
    catalog = catalog_of_models(config)
    for index, preference in enumerate(config.routing_preferences):
        found = [_find(catalog, name) for name in preference.models]
        if all(target is not None and target.entry.key in without_key for target in found):
            report.warn(
                ("routing_preferences", index, "models"),
                "are all without their key, so requests of this kind fail",
                "set one of their variables, or add a model that has its key",
            )


def _found(catalog: Catalog, name: str) -> str | None:
    target = _find(catalog, name)
    return target.model if target is not None else None


def _find(catalog: Catalog, name: str) -> Target | None:
    try:
        return match_model(catalog, name)
    except InvalidRequest:
        return None


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"


Rule = Callable[[Config, Report], None]

_RULES: tuple[Rule, ...] = (
    _check_syntax_of_models,
    _check_keys_are_unique,
    _check_default,
    _check_wildcards,
    _check_names_do_not_hide,
    _check_alias_cycles,
    _check_aliases_have_a_target,
    _check_names_of_aliases_and_preferences,
    _check_router,
)
