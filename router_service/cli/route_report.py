"""What `route` prints: the decision first, then why, then the numbers behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from router_service.classify.facts import Facts
from router_service.cli.ranking_report import Ranking
from router_service.config.models import Router
from router_service.routing.answer import OTHER
from router_service.routing.decision import ANSWERED, Classification, Context, Decision, Reason, Source
from router_service.telemetry.console import Paint, Style

_MOST_ROWS = 25  # --json has them all
_BAR_COLUMNS = 24
_NO_PREFERENCE = "none of these"
CLASSIFICATION = "classification"

WHY: Mapping[Reason, str] = {
    Reason.REQUESTED: "the request names this model",
    Reason.MATCHED: "the conversation is about this preference",
    Reason.NO_PREFERENCES: "the configuration has no routing_preferences to choose from",
    Reason.NO_TEXT: "no turn of the user has text",
    Reason.NO_ROUTE: "no preference fits",
    Reason.LOW_CONFIDENCE: "one fits, but less surely than router.min_confidence asks",
    Reason.UNKNOWN_ROUTE: "the routing model named something that is not configured",
    Reason.MALFORMED: "the routing model's answer could not be read",
    Reason.TIMEOUT: "router.timeout passed",
    Reason.OVERLOADED: "router.max_in_flight classifications were under way",
    Reason.BREAKER_OPEN: "the model server failed repeatedly and is left alone for a while",
    Reason.CLASSIFIER_ERROR: "the model server refused, reset the connection or answered an HTTP error",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision and everything that led to it.

    `ranking` says how the models of a pool with a selection policy were put in order. `asked` are the classifiers in
    turn, the last one answered. `servers` maps the address of a model server to what was found there, or to why nothing
    was. `prompts` is what each backend read; `laps_s` what each step took.
    """

    decision: Decision
    ranking: Ranking | None
    router: Router
    asked: Sequence[Classification]
    servers: Mapping[str, Facts | str]
    laps_s: Mapping[str, float]
    prompts: Mapping[str, str]

    @property
    def pool(self) -> tuple[str, ...]:
        """The models in the order in which they are tried."""
        return (self.decision.model, *(target.model for target in self.decision.behind))


def as_json(explained: Explained, *, with_prompts: bool) -> str:
    decision, answer = explained.decision, explained.decision.classification
    shown: dict[str, object] = {
        "model": decision.model,
        "source": decision.source,
        "reason": decision.reason,
        "route": decision.route,
        "models": explained.pool,
        "ranking": explained.ranking.as_json() if explained.ranking else None,
        "confidence": answer.confidence if answer else None,
        "scores": dict(answer.scores) if answer else {},
        "context": asdict(answer.context) if answer and answer.context else None,
        "classifier": answer.backend if answer else None,
        "failed": answer.failed if answer else None,
        "asked": [
            {"classifier": asked.backend, "reason": asked.reason, "ms": _ms(asked.latency_s)}
            for asked in explained.asked
        ],
        "took_ms": {name: _ms(lap_s) for name, lap_s in explained.laps_s.items()},
    }
    if with_prompts:
        shown["prompts"] = dict(explained.prompts)
    return json.dumps(shown, indent=2, ensure_ascii=False)


def as_text(explained: Explained, paint: Paint, *, with_prompts: bool) -> str:
    sections = [
        list(_decided(explained, paint)),
        list(_scores(explained, paint)),
        list(_took(explained.laps_s)),
        *(_prompt(backend, prompt, paint) for backend, prompt in explained.prompts.items() if with_prompts),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _decided(explained: Explained, paint: Paint) -> Iterator[str]:
    decision, answer = explained.decision, explained.decision.classification
    is_hoped_for = decision.reason in {Reason.REQUESTED, Reason.MATCHED}
    head = {
        Source.PREFERENCE: decision.route,
        Source.ALIAS: decision.route,
        Source.DEFAULT: "default",
        Source.MODEL: None,
    }[decision.source]
    models = ", then ".join(explained.pool)
    colour = Style.GREEN if is_hoped_for else Style.YELLOW
    yield f"{paint(colour, head)} → {models}" if head else paint(colour, models)
    yield ""
    why = WHY[decision.reason]
    if decision.source is Source.ALIAS:
        why = "the request names this alias"
    yield _row("why", f"{decision.reason}: {why}")
    if answer is not None and answer.confidence is not None:
        yield _row("confidence", f"{answer.confidence:.2f}" + _asked_confidence(explained.router))
    if answer is not None and answer.context is not None:
        yield _row("before", _context(answer.context))
    for number, line in enumerate(explained.ranking.lines() if explained.ranking else ()):
        yield _row("" if number or explained.ranking is None else explained.ranking.prefer, line)
    for number, asked in enumerate(explained.asked):
        told = asked.reason if asked.reason in ANSWERED else f"{asked.reason}: {WHY[asked.reason]}"
        yield _row("" if number else "asked", f"{asked.backend}, {_duration(asked.latency_s)}, {told}")
    for address, server in explained.servers.items():
        yield _row("server", f"{address or 'router.url'}: {_server(server, explained.router.model)}")


def _context(context: Context) -> str:
    was = context.previous or "no preference"
    if context.ended:
        return f"{was}; this turn asks for nothing more"
    return f"{was}, with a head start of {context.head_start:.2f} in its score" if context.head_start else was


def _asked_confidence(router: Router) -> str:
    return f" (router.min_confidence {router.min_confidence:g})" if router.min_confidence else ""


def _server(server: Facts | str, model: str) -> str:
    if isinstance(server, str):
        return f"not usable, {server}"
    if not server.serves_model:
        served = ", ".join(served.id for served in server.served)
        return f"does not serve {model}; " + (f"it has {served} (set router.model)" if served else "it lists no model")
    told = [f"vLLM {server.version}"] if server.version else []
    told.append("answers held to the names" if server.constrained else "answers not held to the names")
    if server.first_guess_tokens is not None:
        told.append(f"decided after {server.first_guess_tokens} token{'' if server.first_guess_tokens == 1 else 's'}")
    if not server.weighs:
        told.append("no confidence")
    return ", ".join(told)


def _scores(explained: Explained, paint: Paint) -> Iterator[str]:
    answer = explained.decision.classification
    if answer is None or not answer.scores:
        return
    chosen = explained.decision.route
    scores = dict(answer.scores)
    if answer.backend != "embedded" and OTHER not in scores:
        scores[_NO_PREFERENCE] = 1 - sum(scores.values())
        chosen = _NO_PREFERENCE if answer.reason is Reason.NO_ROUTE else chosen
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    width = max(len(name) for name, _ in ranked[:_MOST_ROWS])
    unit = "score" if answer.backend == "embedded" else "probability"
    yield paint(Style.DIM, f"  {'':12} {'preference':{width}}  {unit}")
    for name, score in ranked[:_MOST_ROWS]:
        bar = "█" * round(_BAR_COLUMNS * max(0.0, min(1.0, score)))
        line = f"{name:{width}}  {score:5.2f}  {bar}".rstrip()
        yield f"  {'':12} {paint(Style.GREEN, line) if name == chosen else line}"
    if len(ranked) > _MOST_ROWS:
        yield f"  {'':12} … and {len(ranked) - _MOST_ROWS} more"


def _took(laps_s: Mapping[str, float]) -> Iterator[str]:
    """What a request waits for first; the rest the service has behind it when a request comes."""
    once = " · ".join(f"{name} {_duration(lap_s)}" for name, lap_s in laps_s.items() if name != CLASSIFICATION)
    if CLASSIFICATION in laps_s:
        yield _row("took", f"{_duration(laps_s[CLASSIFICATION])}; before it, once: {once}")
    else:
        yield _row("took", once)


def _prompt(backend: str, prompt: str, paint: Paint) -> list[str]:
    return [paint(Style.DIM, f"── what {backend} reads, {len(prompt.encode()):,} bytes ──"), prompt]


def _row(title: str, text: str) -> str:
    return f"  {title:<12} {text}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
