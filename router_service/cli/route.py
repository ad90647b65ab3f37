"""`route`: the decision about one request, as a person wants to read it. Nothing is sent to a provider.

The request is read, decided and classified by what the service itself uses, with its deadline and its fallback; only
the model server is looked at first, so that the first question is as good as any later one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from router_service.app import open_embedded
from router_service.classify import Classifier
from router_service.classify.chain import Meter
from router_service.classify.facts import Facts
from router_service.classify.opening import open_classifier
from router_service.classify.watch import Watcher
from router_service.cli.options import wants_colour
from router_service.cli.ranking_report import explain_ranking
from router_service.cli.route_report import CLASSIFICATION, Explained, as_json, as_text
from router_service.config.load import Loaded, load
from router_service.errors import RequestError, SetupError
from router_service.extproc.stream import ENDPOINTS, Turns
from router_service.routing.api import CONVERSATIONS, Api
from router_service.routing.body import read_body
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decide import Undecided, decide, settle
from router_service.routing.decision import Classification, Decision
from router_service.routing.follow import heard
from router_service.routing.prompt import LayoutName, build_prompt, frame_prompt, load_layout
from router_service.routing.ranking import Moment
from router_service.routing.special_tokens import SPECIAL_TOKENS
from router_service.selection.opening import open_selection
from router_service.selection.poller import Unwatched
from router_service.telemetry.console import painter

_STANDARD_INPUT = Path("-")

# A configuration's classifier, open; `open_configured`, or a test's.
Opener = Callable[[Loaded, Watcher, Meter], AbstractAsyncContextManager[Classifier]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="the configuration file")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("text", nargs="?", metavar="TEXT", help="what a user would write")
    asked.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="a JSON list of messages, or a whole request; - is standard input",
    )
    parser.add_argument(
        "--api",
        type=Api,
        choices=[api for api in Api if api in CONVERSATIONS],
        default=Api.CHAT,
        help="the API that the request is in (default: chat)",
    )
    parser.add_argument("--model", metavar="NAME", help="what the request names as its model (default: nothing)")
    parser.add_argument("--show-prompt", action="store_true", help="print what each classifier reads, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for scripts")


def run(args: argparse.Namespace) -> int:
    return route(args, open_configured)


def route(args: argparse.Namespace, open_one: Opener) -> int:
    """The whole command, given how a configuration's classifier is opened."""
    stopwatch = Stopwatch()
    loaded = load(args.config, os.environ)
    stopwatch.lap("configuration")
    try:
        conversation, model = _read(args.text, args.file, ENDPOINTS[args.api.path].turns)
        first_step = partial(decide, loaded.catalog, args.model or model, args.api)
        explained = asyncio.run(_explain(loaded, conversation, first_step, open_one, stopwatch))
    except RequestError as error:
        print(f"{error.status} {error.code}: {error.message}", file=sys.stderr)
        return 1
    if args.json:
        print(as_json(explained, with_prompts=args.show_prompt))
    else:
        print(as_text(explained, painter(wants_colour()), with_prompts=args.show_prompt))
    return 0


@asynccontextmanager
async def open_configured(loaded: Loaded, watcher: Watcher, meter: Meter) -> AsyncIterator[Classifier]:
    """What requests would meet."""
    async with open_classifier(
        loaded.config,
        loaded.catalog,
        open_embedded=lambda: open_embedded(loaded),
        watcher=watcher,
        meter=meter,
        look_first=True,
    ) as classifier:
        yield classifier


class Stopwatch:
    """Names the time since the last lap."""

    def __init__(self) -> None:
        self.laps_s: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def lap(self, name: str) -> None:
        now_s = time.perf_counter()
        self.laps_s[name], self._last_s = now_s - self._last_s, now_s


@dataclass
class Witness:
    """Remembers what classifiers and the watch over the model server tell."""

    asked: list[Classification] = field(default_factory=list)
    servers: dict[str, Facts | str] = field(default_factory=dict)

    def found(self, address: str, facts: Facts) -> None:
        self.servers[address] = facts

    def lost(self, address: str, why: str) -> None:
        self.servers[address] = why

    def classification_started(self) -> None:
        pass

    def classification_ended(self) -> None:
        pass

    def classified(self, classification: Classification) -> None:
        self.asked.append(classification)


async def _explain(
    loaded: Loaded,
    conversation: Conversation,
    first_step: Callable[[Moment], Decision | Undecided],
    open_one: Opener,
    stopwatch: Stopwatch,
) -> Explained:
    witness = Witness()
    undecided = first_step(Moment())
    classification: Classification | None = None
    if isinstance(undecided, Undecided):
        async with open_one(loaded, witness, witness) as classifier:
            stopwatch.lap("classifier ready")
            classification = await classifier.classify(conversation)
            stopwatch.lap(CLASSIFICATION)

    def decided(moment: Moment) -> Decision:
        first = first_step(moment)
        if isinstance(first, Decision):
            return first
        assert classification is not None
        return settle(loaded.catalog, first, classification)

    async with open_selection(loaded.config, loaded.catalog, Unwatched()) as selection:
        decision = decided(Moment())
        pollers = selection.read_for(decision.ranked_by)
        if pollers:
            await asyncio.gather(*(poller.poll() for poller in pollers))
            stopwatch.lap("metrics sources")
        decision = decided(Moment(selection.standings, random.random()))  # noqa: S311 - a lot, not a secret
        ranking = explain_ranking(decision, selection.standings, pollers, now_s=time.time())
    return Explained(
        decision=decision,
        ranking=ranking,
        router=loaded.config.router,
        asked=tuple(witness.asked),
        servers=witness.servers,
        laps_s=stopwatch.laps_s,
        prompts={asked.backend: _prompt(loaded, conversation, asked.backend, witness) for asked in witness.asked},
    )


def _prompt(loaded: Loaded, conversation: Conversation, backend: str, witness: Witness) -> str:
    """What this classifier reads."""
    if backend == "embedded":
        return "\n\n".join(heard(conversation))
    found = [facts.special_tokens for facts in witness.servers.values() if isinstance(facts, Facts)]
    frame = frame_prompt(
        loaded.catalog.preferences,
        layout=load_layout(LayoutName(loaded.config.router.prompt)),
        max_turns=loaded.config.limits.max_turns,
        max_prompt_tokens=loaded.config.limits.max_prompt_tokens,
        special_tokens=frozenset().union(*found) if found else SPECIAL_TOKENS,
    )
    return build_prompt(frame, conversation)


def _read(text: str | None, file: Path | None, turns: Turns | None) -> tuple[Conversation, str | None]:
    """The conversation, and the model that a whole request names. Raises SetupError or InvalidRequest."""
    assert turns is not None  # of an API that is not routed by name only
    if file is None:
        return Conversation((Turn("user", text or ""),)), None
    try:
        raw = sys.stdin.buffer.read() if file == _STANDARD_INPUT else file.read_bytes()
    except OSError as error:
        raise SetupError(f"{file} cannot be read: {error.strerror}.") from error
    if raw.lstrip().startswith(b"["):
        return turns.read(msgspec.Raw(raw)), None
    body = read_body(raw)
    if turns.field not in body.members:
        raise SetupError(f"{file} has no {turns.field}; write a list of them, or a request that holds them.")
    return turns.read(body.members[turns.field]), body.model
