"""What must hold between the sections of a file: names that exist once, are found, and mean what they seem to mean.

Owns every check on model names, aliases and preferences; addresses and ports are `addresses`. A name is looked up with
the routing core's own `find_model`, so that `check` and a request never disagree.

A check takes the validated configuration and reports; it changes nothing. An error is what cannot work. A warning is
what works otherwise than its author will expect.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Collection, Iterable

from router_service.config.models import Config
from router_service.config.report import Location, Report
from router_service.errors import InvalidRequest, UnknownModel
from router_service.routing.catalog import WILDCARD, Catalog, Model, Target
from router_service.routing.resolve import find_model

_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL_ID = re.compile(r"[A-Za-z0-9@~][A-Za-z0-9._:/@+~-]{0,199}")
_ENTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")  # names Envoy clusters, secrets and their files
_MAX_NAME = 200  # of an alias or a preference; both are response headers
_MAX_PREFERENCES = 50  # Arch-Router's accuracy falls and its prompt grows with each
_MIN_WORDS = 3  # of a description
_SAME_WORDS = 0.8  # share of common words above which two descriptions say the same


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
    reported: set[str] = set()
    for alias in config.model_aliases:
        chain = [alias]
        while (target := config.model_aliases.get(chain[-1])) is not None and target.target not in chain:
            chain.append(target.target)
        if target is None or target.target != alias or alias in reported:
            continue
        reported.update(chain)
        if len(chain) == 1:
            report.error(("model_aliases", alias), "points to itself", "name a model instead")
        else:
            way = " → ".join(_short(name) for name in (*chain, alias))
            report.error(("model_aliases", alias), f"goes round in a circle: {way}", "let one of them name a model")


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


def _check_preference_names(config: Config, report: Report) -> None:
    first: dict[str, int] = {}
    alike: dict[str, int] = {}
    for index, preference in enumerate(config.routing_preferences):
        location: Location = ("routing_preferences", index, "name")
        folded = re.sub(r"[\W_]+", "", preference.name.casefold())
        if folded == "other":
            report.error(location, "is the classifier's word for no preference at all", "choose another name")
        elif preference.name in first:
            line = report.line(("routing_preferences", first[preference.name], "name"))
            report.error(location, f"is already the preference in line {line}", "choose another name, or join the two")
        elif folded in alike:
            line = report.line(("routing_preferences", alike[folded], "name"))
            report.warn(
                location, f"is hard to tell from the preference in line {line}", "choose names that differ in words"
            )
        first.setdefault(preference.name, index)
        alike.setdefault(folded, index)


def _check_preference_descriptions(config: Config, report: Report) -> None:
    preferences = config.routing_preferences
    if len(preferences) > _MAX_PREFERENCES:
        report.warn(
            ("routing_preferences",),
            f"are {len(preferences)}, which a classifier tells apart less and less surely",
            f"join similar ones; {_MAX_PREFERENCES} are plenty",
        )
    words = [set(re.findall(r"\w+", preference.description.casefold())) for preference in preferences]
    for index, preference in enumerate(preferences):
        if len(preference.description.split()) < _MIN_WORDS:
            report.warn(
                ("routing_preferences", index, "description"),
                f"has fewer than {_MIN_WORDS} words to recognise a request by",
                "describe what such requests are about: things rather than actions",
            )
    said: set[int] = set()
    for one, other in itertools.combinations(range(len(preferences)), 2):
        both = words[one] | words[other]
        if other not in said and both and len(words[one] & words[other]) / len(both) >= _SAME_WORDS:
            said.add(other)
            line = report.line(("routing_preferences", one, "description"))
            report.warn(
                ("routing_preferences", other, "description"),
                f"says nearly the same as line {line}, so either may be chosen",
                "say what tells them apart, or join the two",
            )


def _check_selection_policies(config: Config, report: Report) -> None:
    for index, preference in enumerate(config.routing_preferences):
        if preference.selection_policy.prefer != "none":
            report.warn(
                ("routing_preferences", index, "selection_policy", "prefer"),
                "needs prices or latencies, which are not read: the models are tried in the order written",
                "write them in the order you want, and prefer: none",
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
    if router.backend != "embedded" and router.embedded.model_dir is not None and router.fallback == "none":
        report.warn(("router", "embedded"), "is not used: fallback is none", "set fallback: embedded, or remove it")


def _check_model_names(config: Config, report: Report) -> None:
    catalog = catalog_of_models(config)
    for alias, entry in config.model_aliases.items():
        if entry.target in config.model_aliases or entry.target in config.routing.auto_names:
            continue
        near = [*config.model_aliases, *config.routing.auto_names]
        _check_model_name(catalog, entry.target, ("model_aliases", alias, "target"), report, near)
    for index, preference in enumerate(config.routing_preferences):
        found: dict[str, int] = {}
        for place, name in enumerate(preference.models):
            location: Location = ("routing_preferences", index, "models", place)
            if name in config.model_aliases and _found(catalog, name) is None:
                report.error(location, f'"{_short(name)}" is an alias', f"write {config.model_aliases[name].target}")
                continue
            model = _check_model_name(catalog, name, location, report, ())
            if model is not None and model in found:
                report.warn(location, f"{model} is already in this list", "remove one of the two")
            elif model is not None:
                found[model] = place


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


def _check_model_name(
    catalog: Catalog, name: str, location: Location, report: Report, more: Iterable[str]
) -> str | None:
    """The model that a name means, as `provider/id`; None, and an error, if there is none."""
    if name.endswith("/" + WILDCARD):
        report.error(location, f'"{_short(name)}" is a wildcard, not a model', f"write one model: {name[:-1]}model-id")
        return None
    try:
        return find_model(catalog, name).model
    except UnknownModel:
        known = [*catalog.by_name, *catalog.by_bare_id, *more]
        near = difflib.get_close_matches(name[:_MAX_NAME], known, n=1)
        report.error(
            location,
            f'"{_short(name)}" is not a model of this file',
            f"did you mean {near[0]}?" if near else "add it to model_providers, or name one that is there",
        )
    except InvalidRequest:
        choices = " or ".join(sorted(target.model for target in catalog.by_bare_id[name]))
        report.error(location, f'"{_short(name)}" is offered by several providers', f"write {choices}")
    return None


def _found(catalog: Catalog, name: str) -> str | None:
    target = _find(catalog, name)
    return target.model if target is not None else None


def _find(catalog: Catalog, name: str) -> Target | None:
    try:
        return find_model(catalog, name)
    except (UnknownModel, InvalidRequest):
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
    _check_names_of_aliases_and_preferences,
    _check_preference_names,
    _check_preference_descriptions,
    _check_selection_policies,
    _check_router,
)
