"""`router-service fit`: thresholds, margins and weights of the embedded classifier for one configuration.

The edge around `router_service.evaluate.fit`: arguments, files, the encoder and the progress bars. Exit codes: 0 the
settings gained and were written (or shown, without --out), 1 they did not gain and nothing was written, 2 the cases,
the configuration or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from router_service.classify.encoder import configured_encoder
from router_service.cli.output import progress, write_file
from router_service.config.fitted import Fitted, fingerprint
from router_service.config.load import Loaded, load, load_routes
from router_service.errors import SetupError
from router_service.evaluate.cases import Case, read_cases
from router_service.evaluate.fit import FOLDS, FitResult, Settings, axes_for, fit
from router_service.evaluate.refit import ScoredCases
from router_service.evaluate.report import points
from router_service.routing.follow import PRIOR, heard
from router_service.routing.scoring import CALIBRATION, WEIGHTS, Encoded, Thresholds


class TextEncoder(Protocol):
    """`encoder.Encoder`, or a test's."""

    @property
    def name(self) -> str: ...

    def encode(self, text: str) -> Encoded: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cases", type=Path, nargs="+", metavar="CASES", help="JSONL files of labelled cases")
    routes = parser.add_mutually_exclusive_group(required=True)
    routes.add_argument("--config", type=Path, metavar="CONFIG", help="fit for this configuration")
    routes.add_argument("--routes", type=Path, metavar="ROUTES", help="a file with only routing_preferences")
    parser.add_argument("--label", default="expected", metavar="FIELD", help="the label's field (default: expected)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the settings here, for router.embedded.fit; if they gained"
    )


def run(args: argparse.Namespace) -> int:
    return fit_command(args, _load_encoder)


def fit_command(args: argparse.Namespace, open_encoder: Callable[[Loaded], TextEncoder]) -> int:
    """The whole command, given how a configuration's encoder is loaded."""
    loaded = load(args.config, os.environ) if args.config else load_routes(args.routes)
    preferences = loaded.catalog.preferences
    if not preferences:
        raise SetupError(f"{args.config} has no routing_preferences, so there is nothing to fit.")
    names = [preference.name for preference in preferences]
    read = [case for path in args.cases for case in read_cases(path, names, args.label)]
    cases = [case for case in read if case.expected is not None]
    groups = [case.conversation or ("case", position) for position, case in enumerate(cases)]
    if len(set(groups)) < FOLDS:
        raise SetupError(
            f"Fitting needs {FOLDS} labelled cases or conversations at the least, and there are {len(set(groups))}; "
            "a few hundred are a good number (docs/evaluation.md)."
        )
    if args.out and not args.out.parent.is_dir():
        raise SetupError(f"{args.out} cannot be written: there is no directory {args.out.parent}; create it first.")
    encoder = open_encoder(loaded)
    scored = ScoredCases(preferences, cases, _encode_all(encoder, cases), loaded.config.router.min_confidence)
    start = _start(loaded)
    axes = axes_for(
        [str(case.expected) for case in cases],
        names,
        scored.top_scores(start),
        unit=1 / CALIBRATION.lead,
        conversations=any(len(heard(case.turns)) > 1 for case in cases),
    )
    with progress("searching", FOLDS + 1) as advance:
        found = fit(start, axes, scored.right, [str(case.expected) for case in cases], groups, on_search=advance)
    print(_report(found, start, names, cases))
    if not found.gained:
        print("Nothing is written: these settings are not known to be better. More cases may show it.")
        return 1
    if args.out:
        write_file(args.out, _fitted(found, loaded, encoder, names, len(cases)).to_json())
        print(f"Written to {args.out}. Name it in the configuration: `router: {{embedded: {{fit: {args.out.name}}}}}`.")
    else:
        print("Write them with --out FILE.")
    return 0


def _load_encoder(loaded: Loaded) -> TextEncoder:
    return configured_encoder(loaded.config.router.embedded)


def _start(loaded: Loaded) -> Settings:
    """The defaults, whatever was fitted before."""
    usual = Thresholds()
    return Settings(
        threshold=usual.score,
        margin=usual.margin,
        whole=WEIGHTS.whole,
        best_parts=WEIGHTS.best_parts,
        hold=PRIOR.hold,
        ending=PRIOR.ending,
        offsets=(0.0,) * len(loaded.catalog.preferences),
    )


def _encode_all(encoder: TextEncoder, cases: Sequence[Case]) -> Callable[[str], Encoded]:
    """The encoder with a memory, into which it has read every case."""
    known: dict[str, Encoded] = {}

    def encode(text: str) -> Encoded:
        if text not in known:
            known[text] = encoder.encode(text)
        return known[text]

    texts = list(dict.fromkeys(text for case in cases for text in heard(case.turns)))
    with progress("encoding", len(texts)) as advance:
        for text in texts:
            encode(text)
            advance()
    return encode


def _report(found: FitResult, start: Settings, names: Sequence[str], cases: Sequence[Case]) -> str:
    after = found.settings
    rows = [
        (name, f"{getattr(start, name):g}", f"{getattr(after, name):g}")
        for name in ("threshold", "margin", "whole", "best_parts", "hold", "ending")
        if getattr(start, name) != getattr(after, name)
    ]
    rows += [(f"offset of {name}", "0", f"{offset:+g}") for name, offset in _offsets(found, names).items()]
    width = max((len(name) for name, _, _ in rows), default=0)
    changes = [f"  {name.ljust(width)}  {before} → {now}" for name, before, now in rows] or ["  nothing"]
    return "\n".join(
        [
            f"{len(cases)} labelled cases, {FOLDS} folds of whole conversations",
            f"accuracy with the defaults    {found.before.value:.1%}",
            f"fitted, on held-out folds     {found.held_out.value:.1%}, {points(found.gain)}",
            "changed, fitting on all cases",
            *changes,
        ]
    )


def _offsets(found: FitResult, names: Sequence[str]) -> dict[str, float]:
    return {name: offset for name, offset in zip(names, found.settings.offsets, strict=True) if offset}


def _fitted(found: FitResult, loaded: Loaded, encoder: TextEncoder, names: Sequence[str], cases: int) -> Fitted:
    settings = found.settings
    return Fitted(
        encoder=encoder.name,
        preferences=fingerprint(loaded.config.routing_preferences),
        threshold=settings.threshold,
        margin=settings.margin,
        whole=settings.whole,
        best_parts=settings.best_parts,
        hold=settings.hold,
        ending=settings.ending,
        offsets=_offsets(found, names),
        cases=cases,
        gain=round(found.gain.value, 4),
        gain_ci=(round(found.gain.low, 4), round(found.gain.high, 4)),
    )
