"""`check`: everything wrong with a configuration file, and what it would do.

Prints one line a problem, which editors and terminals make clickable, then a summary, then advice on the preferences,
which are measured with the embedded encoder whatever classifies. Exit code 0 if the file can be used, 1 if it can and
`--strict` objects to its warnings, 2 if it cannot; advice changes none of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router_service.cli.options import wants_colour
from router_service.cli.ranking_report import in_turn
from router_service.config.load import Loaded, load
from router_service.config.models import Router
from router_service.config.providers import Auth, endpoint
from router_service.config.service import TcpAddress
from router_service.errors import ConfigError, Problem, SetupError, format_problem
from router_service.routing.catalog import Catalog, Target
from router_service.routing.ranking import Prefer, Standings
from router_service.routing.resolve import Auto, Named, resolve
from router_service.selection.opening import open_selection
from router_service.selection.poller import Unwatched
from router_service.telemetry.console import Paint, Style, painter

if TYPE_CHECKING:
    from router_service.routing.scoring import Embed

_MOST_ROWS = 25  # of one table; --json has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="the configuration file")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there are warnings")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for scripts")


def run(args: argparse.Namespace) -> int:
    return check(args)


def check(args: argparse.Namespace, open_embed: Callable[[Loaded], Embed] | None = None) -> int:
    """The whole command; a test gives how the encoder is loaded. Where it cannot be, only the advice is missing."""
    paint = painter(wants_colour())
    try:
        loaded = load(args.config, os.environ)
    except ConfigError as error:
        print(_as_json(args.config, error.problems, None, None) if args.json else _refusal(args.config, error, paint))
        return 2
    guidance = _measure(loaded, open_embed)
    if args.json:
        print(_as_json(args.config, loaded.warnings, loaded, guidance))
    else:
        print("\n".join([_summary(args.config, loaded, paint), *_advice(args.config, guidance, paint)]))
    return 1 if args.strict and loaded.warnings else 0


@dataclass(frozen=True, slots=True)
class Guidance:
    """What is advised; or why nothing could be measured."""

    advice: tuple[Problem, ...] = ()
    not_measured: str = ""


def _measure(loaded: Loaded, open_embed: Callable[[Loaded], Embed] | None) -> Guidance:
    if not loaded.catalog.preferences:
        return Guidance()
    # Only here, because a configuration without preferences should not wait for numpy and onnxruntime.
    from router_service.cli.preference_advice import load_embed, measure  # noqa: PLC0415

    try:
        return Guidance(measure(loaded, (open_embed or load_embed)(loaded)))
    except SetupError as error:
        return Guidance(not_measured=str(error))


def _advice(file: str, guidance: Guidance, paint: Paint) -> list[str]:
    if guidance.not_measured:
        return ["", f"The preferences were not measured: {guidance.not_measured}"]
    return ["", *_problem_lines(file, guidance.advice, paint)] if guidance.advice else []


def _as_json(file: str, problems: Sequence[Problem], loaded: Loaded | None, guidance: Guidance | None) -> str:
    listed = [_problem_json(problem) for problem in problems]
    summary: dict[str, object] = {}
    if loaded is not None and guidance is not None:
        summary = {
            "advice": [_problem_json(problem) for problem in guidance.advice],
            "not_measured": guidance.not_measured or None,
            "listeners": [{"address": listener.address, "port": listener.port} for listener in loaded.config.listeners],
            "models": [model.name for model in loaded.catalog.models],
            "default": loaded.catalog.default.model if loaded.catalog.default else None,
            "aliases": {
                **loaded.catalog.aliases,
                **{name: _names(targets) for name, targets in loaded.catalog.alias_targets.items()},
            },
            "fallbacks": {key: _names(targets) for key, targets in loaded.catalog.fallbacks.items()},
            "selection": {
                pool.name: {"prefer": pool.policy.prefer, "weights": list(pool.policy.weights)}
                for pool in loaded.catalog.pools
                if pool.policy.prefer is not Prefer.NONE
            },
            "preferences": {preference.name: _names(preference.models) for preference in loaded.catalog.preferences},
            "classifier": loaded.config.router.backend,
            "missing": {key: list(variables) for key, variables in loaded.missing.items()},
        }
    return json.dumps(
        {"file": file, "usable": loaded is not None, "problems": listed, **summary}, indent=2, ensure_ascii=False
    )


def _problem_json(problem: Problem) -> dict[str, object]:
    return {
        "severity": problem.severity,
        "line": problem.line,
        "path": problem.path,
        "what": problem.what,
        "todo": problem.todo,
    }


def _refusal(file: str, error: ConfigError, paint: Paint) -> str:
    errors = sum(problem.severity == "error" for problem in error.problems)
    counted = _count(errors, "error")
    if len(error.problems) > errors:
        counted += f" and {_count(len(error.problems) - errors, 'warning')}"
    verdict = paint(Style.RED, f"{file} cannot be used: {counted}.")
    return "\n".join([*_problem_lines(file, error.problems, paint), "", verdict])


def _summary(file: str, loaded: Loaded, paint: Paint) -> str:
    lines = _problem_lines(file, loaded.warnings, paint)
    lines += [""] if lines else []
    counted = f", with {_count(len(loaded.warnings), 'warning')}" if loaded.warnings else ""
    lines += [paint(Style.GREEN, f"{file} can be used{counted}."), ""]
    lines += _table("listens on", [(str(TcpAddress(at.address, at.port)),) for at in loaded.config.listeners])
    lines += _table("models", _models(loaded))
    catalog = loaded.catalog
    standings = asyncio.run(_prices_of_files(loaded))
    lines += _table("aliases", [(alias, f"→ {_meaning(catalog, alias, standings)}") for alias in catalog.alias_names])
    lines += _table(
        "preferences",
        [
            (preference.name, f"→ {in_turn(catalog.pool_of(preference), standings)}")
            for preference in catalog.preferences
        ],
    )
    lines += _table("classifier", [(_classifier(loaded.config.router),)] if catalog.preferences else [])
    return "\n".join(lines)


def _problem_lines(file: str, problems: Sequence[Problem], paint: Paint) -> list[str]:
    return [
        paint(Style.YELLOW if problem.severity == "warning" else Style.PLAIN, format_problem(file, problem))
        for problem in problems
    ]


def _models(loaded: Loaded) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for entry in loaded.config.model_providers:
        where = endpoint(entry)
        address = f"{'' if where.tls else 'http://'}{where.authority}{where.path_prefix}"
        notes = ["default"] if entry.default else []
        notes += [f"called {entry.name}"] if entry.name else []
        notes += [f"then {', '.join(entry.fallbacks)}"] if entry.fallbacks else []
        if entry.key in loaded.missing:
            notes.append(f"{' and '.join(loaded.missing[entry.key])} not set")
        elif where.auth is Auth.PASSTHROUGH:
            notes.append("the client's credential")
        elif where.auth is Auth.NONE:
            notes.append("no credential")
        rows.append((entry.model, address, ", ".join(notes)))
    return rows


async def _prices_of_files(loaded: Loaded) -> Standings:
    """What is known without asking anybody."""
    async with open_selection(loaded.config, loaded.catalog, Unwatched(), only_files=True) as selection:
        await asyncio.gather(*(poller.poll() for poller in selection.pollers))
        return selection.standings


def _meaning(catalog: Catalog, alias: str, standings: Standings) -> str:
    match resolve(catalog, alias):
        case Named(pool):
            return in_turn(pool, standings)
        case Auto():
            return "the preference that fits"


def _names(targets: Sequence[Target]) -> list[str]:
    return [target.model for target in targets]


def _classifier(router: Router) -> str:
    if router.backend == "embedded":
        return "embedded, on this machine's CPU"
    behind = f"; behind it {router.fallback}" if router.fallback != "none" else ""
    return f"{router.model} at {' and '.join(router.url)} ({router.backend}), at most {router.timeout:g} s{behind}"


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows in columns, the title before the first."""
    if not rows:
        return []
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        f"  {title if index == 0 else '':<12} "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for index, row in enumerate(rows[:_MOST_ROWS])
    ]
    more = len(rows) - _MOST_ROWS
    return [*lines, f"  {'':<12} … and {more} more"] if more > 0 else lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
