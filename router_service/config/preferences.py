"""Whether preferences can be told apart: by a classifier, and by the person who reads its decisions.

Owns the checks on names and descriptions as text; whether their models exist is checked by `references`, what they mean
is measured by `routing.guidance`. What makes a good preference is in docs/writing-preferences.md.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from router_service.config.models import Config, RoutingPreference
from router_service.config.report import Location, Report

_MAX_PREFERENCES = 50  # Arch-Router's accuracy falls and its prompt grows with each
_MOST_COMPARED = 200  # each with each: 20,000 comparisons
_MIN_WORDS = 3  # of a description
_SAME_WORDS = 0.8  # share of common words above which two descriptions say the same


def check(config: Config, report: Report) -> None:
    """Reports names that clash, and descriptions that will not route well."""
    preferences = config.routing_preferences
    _check_names(preferences, report)
    if len(preferences) > _MAX_PREFERENCES:
        report.warn(
            ("routing_preferences",),
            f"are {len(preferences)}, which a classifier tells apart less and less surely",
            f"join similar ones; {_MAX_PREFERENCES} are plenty",
        )
    _check_lengths(preferences, report)
    _check_likeness(preferences[:_MOST_COMPARED], report)


def _check_names(preferences: Sequence[RoutingPreference], report: Report) -> None:
    first: dict[str, int] = {}
    alike: dict[str, int] = {}
    for index, preference in enumerate(preferences):
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


def _check_lengths(preferences: Sequence[RoutingPreference], report: Report) -> None:
    for index, preference in enumerate(preferences):
        if len(preference.description.split()) < _MIN_WORDS:
            report.warn(
                ("routing_preferences", index, "description"),
                f"has fewer than {_MIN_WORDS} words to recognise a request by",
                "describe what such requests are about: things rather than actions",
            )


def _check_likeness(preferences: Sequence[RoutingPreference], report: Report) -> None:
    words = [set(re.findall(r"\w+", preference.description.casefold())) for preference in preferences]
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
