"""`router-service eval`: how well the configured preferences route labelled cases.

The edge around `router_service.evaluate`: arguments, files, the clock, the progress bar and the event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from router_service.app import open_embedded
from router_service.classify import Classifier
from router_service.classify.facts import Facts
from router_service.classify.opening import open_classifier
from router_service.cli.output import progress, write_file
from router_service.config.load import Loaded, load, load_routes
from router_service.errors import SetupError
from router_service.evaluate import page, report
from router_service.evaluate.cases import Case, read_cases
from router_service.evaluate.json_report import to_json
from router_service.evaluate.measure import Measurement, measure
from router_service.evaluate.run import classify_cases

OpenClassifier = Callable[[Loaded], AbstractAsyncContextManager[Classifier]]  # `open_configured`, or a test's
NO_DEADLINE_S = 3600.0
BACKENDS = ("embedded", "vllm", "openai")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cases", type=Path, nargs="+", metavar="CASES", help="JSONL files of labelled cases")
    routes = parser.add_mutually_exclusive_group(required=True)
    routes.add_argument("--config", type=Path, metavar="CONFIG", help="classify as this configuration would")
    routes.add_argument("--routes", type=Path, metavar="ROUTES", help="a file with only routing_preferences")
    parser.add_argument("--label", default="expected", metavar="FIELD", help="the label's field (default: expected)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures here, as JSON")
    parser.add_argument("--html", type=Path, metavar="OUT", help="write a page with plots here; it quotes wrong cases")
    parser.add_argument(
        "--compare",
        type=backends,
        metavar="A,B",
        help="measure these backends, each on its own: embedded, vllm, openai",
    )
    parser.add_argument(
        "--min-accuracy", type=share, metavar="X", help="exit with 1 if the accuracy is below, such as 0.85 or 85%%"
    )


def backends(text: str) -> tuple[str, ...]:
    """`embedded,vllm`."""
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in BACKENDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is not a backend; there are {', '.join(BACKENDS)}")
    if len(set(names)) < len(names) or len(names) < 2:
        raise argparse.ArgumentTypeError("name two backends or more, each once, such as embedded,vllm")
    return names


def share(text: str) -> float:
    """`0.85` or `85%`."""
    number = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    value = float(number[1]) / (100 if number[2] else 1) if number else -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share; write it like 0.85 or 85%")
    return value


def run(args: argparse.Namespace) -> int:
    return evaluate(args, open_configured)


def evaluate(args: argparse.Namespace, open_one: OpenClassifier) -> int:
    """The whole command, given how a configuration's classifier is opened."""
    loaded = load(args.config, os.environ) if args.config else _without_a_deadline(load_routes(args.routes))
    names = [preference.name for preference in loaded.catalog.preferences]
    cases = [case for path in args.cases for case in read_cases(path, names, args.label)]
    for path in filter(None, (args.json, args.html)):
        if not path.parent.is_dir():
            raise SetupError(f"{path} cannot be written: there is no directory {path.parent}; create it first.")
    variants = [_only(loaded, backend) for backend in args.compare] if args.compare else [loaded]
    measurements = asyncio.run(_measure(variants, cases, open_one))
    print(report.render(measurements), end="")
    if args.json:
        write_file(args.json, json.dumps(to_json(measurements), indent=2, ensure_ascii=False) + "\n")
    if args.html:
        write_file(args.html, page.render(measurements))
    accuracy = measurements[0].accuracy
    if args.min_accuracy is not None and (accuracy is None or accuracy.value < args.min_accuracy):
        print(f"The accuracy is {report.percent(accuracy)}, below {args.min_accuracy:.1%}.", file=sys.stderr)
        return 1
    return 0


@asynccontextmanager
async def open_configured(loaded: Loaded) -> AsyncIterator[Classifier]:
    """What requests would meet, with its deadline and its fallback."""
    async with open_classifier(
        loaded.config, loaded.catalog, open_embedded=lambda: open_embedded(loaded), watcher=_Teller()
    ) as classifier:
        yield classifier


class _Teller:
    """Says on standard error why a model server cannot be asked."""

    def found(self, address: str, facts: Facts) -> None:
        pass

    def lost(self, address: str, why: str) -> None:
        print(f"{address or 'router.url'}: {why}", file=sys.stderr)


def _without_a_deadline(loaded: Loaded) -> Loaded:
    """Routes alone say nothing of a deadline, and how well they are told apart is no matter of the machine's load."""
    router = loaded.config.router.model_copy(update={"timeout": NO_DEADLINE_S})
    return replace(loaded, config=loaded.config.model_copy(update={"router": router}))


def _only(loaded: Loaded, backend: str) -> Loaded:
    """The same configuration with one backend and no fallback: each is to be judged by its own answers."""
    router = loaded.config.router
    if backend != "embedded" and not router.url:
        raise SetupError(
            f"--compare {backend} needs to know where it is: set router.url in a file given with --config."
        )
    alone = router.model_copy(update={"backend": backend, "fallback": "none"})
    return replace(loaded, config=loaded.config.model_copy(update={"router": alone}))


async def _measure(variants: Sequence[Loaded], cases: Sequence[Case], open_one: OpenClassifier) -> list[Measurement]:
    found = []
    for loaded in variants:
        names = [preference.name for preference in loaded.catalog.preferences]
        async with open_one(loaded) as classifier:
            with progress(classifier.backend, len(cases)) as advance:
                outcomes = await classify_cases(classifier, cases, clock=time.perf_counter, on_case=advance)
            found.append(measure(classifier.backend, outcomes, names))
    return found
