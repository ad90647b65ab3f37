"""Measure an encoder on sets it was not trained on, with the production score and 95 % bootstrap intervals.

    python evaluate.py --data DIR (--weights FILE.safetensors | --onnx FILE) [--json OUT]

`--data` holds `clinc150/`, `sgd/` and `train/` (README.md says what they are). CLINC150 and SGD are never trained on;
of `train/`, only what train.py holds out is measured.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml
from conversation import Turn, decide, echoing
from data import read_rows
from encoder import batch, embed, load, tokenizer
from numpy.typing import NDArray
from score import Matrix, Route, RouteVectors, scores
from train import HELD_MMLU

RESAMPLES = 1000
MAX_TOKENS = 160  # measured texts beyond that are a handful
EmbedTexts = Callable[[Sequence[str]], tuple[Matrix, Matrix]]

# MMLU's subjects as fourteen routes, described by us
SUBJECTS: dict[str, tuple[str, str]] = {
    "biology": ("cells, genetics, evolution, ecology and physiology of living things", "biology"),
    "business": ("management, marketing, accounting and business ethics", "marketing|management|business|accounting"),
    "chemistry": ("reactions, molecules, atoms, acids and chemical analysis", "chemistry"),
    "computer science": ("algorithms, programming, machine learning and security", "computer|machine learning"),
    "economics": ("micro- and macroeconomics, markets, econometrics", "economics|econometrics"),
    "engineering": ("electrical circuits, machines and technical systems", "engineering"),
    "health": ("medicine, anatomy, nutrition, diseases and clinical care",
               "medicine|anatomy|nutrition|clinical|virology|genetics|aging|sexuality"),
    "history": ("historical events, periods, prehistory and civilisations", "history"),
    "law": ("statutes, courts, contracts, jurisprudence and international law", "law|jurisprudence"),
    "mathematics": ("algebra, calculus, statistics, arithmetic and proofs", "mathematics|algebra|statistics"),
    "philosophy": ("ethics, moral questions, logic and religions", "philosophy|moral|logic|fallacies|religions"),
    "physics": ("mechanics, electricity, quantum physics and astronomy", "physics|astronomy"),
    "psychology": ("mind, behaviour, development and mental disorders", "psychology"),
    "politics and society": ("government, foreign policy, geography and sociology",
                             "politics|policy|geography|sociology|security studies|public relations"),
}  # fmt: skip


@dataclass
class Sets:
    """Every figure of a run: name -> (value, low, high)."""

    figures: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    recall: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, name: str, right: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> None:
        """The mean of `right` in percent; resampled by `groups` (conversations) where given."""
        rng = np.random.default_rng(1)
        if groups is None:
            draws = rng.integers(0, len(right), (RESAMPLES, len(right)))
            means = right[draws].mean(1)
        else:
            sums, counts = np.bincount(groups, right), np.bincount(groups)
            draws = rng.integers(0, len(sums), (RESAMPLES, len(sums)))
            means = sums[draws].sum(1) / counts[draws].sum(1)
        low, high = np.percentile(means, [2.5, 97.5])
        self.figures[name] = (100 * float(right.mean()), 100 * float(low), 100 * float(high))

    def add_auroc(self, name: str, inside: Matrix, outside: Matrix) -> None:
        rng = np.random.default_rng(1)
        draws = [auroc(rng.choice(inside, len(inside)), rng.choice(outside, len(outside))) for _ in range(200)]
        low, high = np.percentile(draws, [2.5, 97.5])
        self.figures[name] = (auroc(inside, outside), float(low), float(high))


def auroc(inside: Matrix, outside: Matrix) -> float:
    values, inverse, counts = np.unique(np.concatenate([inside, outside]), return_inverse=True, return_counts=True)
    del values
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


def read_routes(path: Path) -> list[Route]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))["routing_preferences"]
    return [Route(entry["name"], entry["description"]) for entry in found]


def vectors(routes: Sequence[Route], encode: EmbedTexts) -> list[RouteVectors]:
    texts = list(dict.fromkeys(t for r in routes for t in (r.whole, *r.parts)))
    table = dict(zip(texts, encode(texts)[0], strict=True))
    pick = lambda chosen: np.stack([table[t] for t in chosen]) if chosen else np.zeros((0, 384), np.float32)  # noqa: E731
    return [RouteVectors(table[r.whole], pick(r.parts), pick(r.examples)) for r in routes]


def ranked(texts: Matrix, routes: Sequence[Route], encode: EmbedTexts) -> tuple[Matrix, NDArray[np.str_]]:
    values = scores(texts, vectors(routes, encode))
    return values, np.array([r.name for r in routes])[values.argmax(1)]


def measure_clinc(folder: Path, encode: EmbedTexts, sets: Sets) -> None:
    cases = read_rows(folder / "val.jsonl")
    texts = encode([case["messages"][-1]["content"] for case in cases])[0]  # type: ignore[index, call-overload]
    domain = np.array([case["domain"] for case in cases])
    intent = np.array([case["intent"] for case in cases])
    inside = domain != "other"
    domains, intents = read_routes(folder / "domains.yaml"), read_routes(folder / "intents.yaml")
    shown = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    taught = [Route(r.name, r.description, tuple(shown[r.name])) for r in intents]

    values, best = ranked(texts, domains, encode)
    sets.add("CLINC150 val, 10 domains", (best == domain)[inside].astype(float))
    sets.recall["CLINC150 domains"] = {r.name: float((best == domain)[domain == r.name].mean()) for r in domains}
    sets.add_auroc("out of scope, AUROC against domains", values.max(1)[inside], values.max(1)[~inside])
    values, best = ranked(texts, intents, encode)
    home = dict(zip(intent, domain, strict=True))
    same = np.array([[home[r.name] == d for r in intents] for d in domain])
    names = np.array([r.name for r in intents])
    sets.add(
        "CLINC150 val, 15 intents of the domain",
        (names[np.where(same, values, -9).argmax(1)] == intent)[inside].astype(float),
    )
    sets.add("CLINC150 val, 150 intents flat", (best == intent)[inside].astype(float))
    sets.add_auroc("out of scope, AUROC against intents", values.max(1)[inside], values.max(1)[~inside])
    values, best = ranked(texts, taught, encode)
    sets.add("the same with five examples", (best == intent)[inside].astype(float))
    sets.add_auroc("out of scope, AUROC with five examples", values.max(1)[inside], values.max(1)[~inside])


def spoken_turns(spoken: Sequence[Sequence[str]], routes: Sequence[Route], encode: EmbedTexts) -> list[Turn]:
    """The newest turn of each conversation, `spoken` being all that the user said in it."""
    texts = list(dict.fromkeys(text for said in spoken for text in said[-2:]))
    encoded, opening = encode(texts)
    place = {text: i for i, text in enumerate(texts)}
    now, before = [place[said[-1]] for said in spoken], [place[said[-2:][0]] for said in spoken]
    table = vectors(routes, encode)
    alone = scores(encoded[now], table)
    echoed = scores(np.stack([echoing(encoded[n], encoded[b]) for n, b in zip(now, before, strict=True)]), table)
    return [Turn(a, e, float(opening[n]), len(texts[n].encode())) for a, e, n in zip(alone, echoed, now, strict=True)]


def measure_sgd(folder: Path, encode: EmbedTexts, sets: Sets) -> None:
    """Turns labelled `other` are not counted here: routes are measured, not abstention."""
    cases = read_rows(folder / "dev.jsonl")
    routes = read_routes(folder / "domains.yaml")
    spoken = [[m["content"] for m in case["messages"] if m["role"] == "user"] for case in cases]  # type: ignore[index]
    turns = spoken_turns(spoken, routes, encode)
    names = [r.name for r in routes]
    owner = {c: i for i, c in enumerate(dict.fromkeys(case["conversation"] for case in cases))}
    group = np.array([owner[case["conversation"]] for case in cases])
    chosen = np.concatenate([decide([turns[i] for i in np.flatnonzero(group == g)]) for g in owner.values()])
    expected = [case["expected"] for case in cases]
    kept = np.array([e != "other" for e in expected])
    right = np.array([names[c] == e for c, e in zip(chosen, expected, strict=True)], dtype=float)
    sets.add(
        "SGD dev, last turn alone",
        np.array([names[int(t.alone.argmax())] == e for t, e in zip(turns, expected, strict=True)], dtype=float)[kept],
        group[kept],
    )
    sets.add("SGD dev, turns", right[kept], group[kept])
    runs, owners, whole, switches, seen = [], [], [], [], []
    for g in owner.values():
        rows = [i for i in np.flatnonzero(group == g) if kept[i]]
        starts = [n for n, i in enumerate(rows) if n == 0 or expected[i] != expected[rows[n - 1]]]
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            runs.append(float(right[rows[start:end]].all()))
            owners.append(g)
        switches += [right[rows[s]] for s in starts[1:]]
        seen += [g] * len(starts[1:])
        whole.append(float(right[rows].all()) if rows else 1.0)
    sets.add("SGD dev, spans", np.array(runs), np.array(owners))
    sets.add("SGD dev, conversations", np.array(whole))
    sets.add("SGD dev, first turn of a new topic", np.array(switches), _dense(seen))


def measure_cases(folder: Path, encode: EmbedTexts, sets: Sets) -> None:
    """The cases shipped with the product (tests/data/cases): twelve routes, several languages, `other`."""
    routes = read_routes(folder / "routes.yaml")
    cases = [case for path in sorted(folder.glob("*.jsonl")) for case in read_rows(path)]
    cases = [dict(case, expected=case["expected"] or "other") for case in cases]
    spoken = [[m["content"] for m in case["messages"] if m["role"] == "user"] for case in cases]  # type: ignore[index]
    turns = spoken_turns(spoken, routes, encode)
    first = np.stack([turn.alone for turn in turns])
    names = np.array([r.name for r in routes])
    expected = np.array([case["expected"] for case in cases])
    single = np.array([not case.get("conversation") for case in cases])
    inside = expected != "other"
    best = names[first.argmax(1)]
    sets.add("shipped cases, single turns with a route", (best == expected)[single & inside].astype(float))
    sets.add_auroc(
        "shipped cases, AUROC of `other`, single turns", first.max(1)[single & inside], first.max(1)[single & ~inside]
    )
    right, owners = [], []
    for owner, key in enumerate(dict.fromkeys(case["conversation"] for case in cases if case.get("conversation"))):
        rows = [i for i, case in enumerate(cases) if case.get("conversation") == key]
        chosen = decide([turns[i] for i in rows])
        right += [float(names[c] == expected[i]) for c, i in zip(chosen, rows, strict=True) if inside[i]]
        owners += [owner for i in rows if inside[i]]
    sets.add("shipped cases, turns of conversations with a route", np.array(right), np.array(owners))


def _dense(groups: Sequence[int]) -> NDArray[np.int64]:
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)


def measure_held_out(folder: Path, encode: EmbedTexts, sets: Sets) -> None:
    rows = read_rows(folder / "mmlu.jsonl")[::HELD_MMLU]
    subject = {
        row["route"]: next((n for n, (_, p) in SUBJECTS.items() if re.search(p, row["route"])), "") for row in rows
    }
    kept = [row for row in rows if subject[row["route"]]]
    _, best = ranked(encode([r["text"] for r in kept])[0], [Route(n, d) for n, (d, _) in SUBJECTS.items()], encode)
    right = np.array([b == subject[r["route"]] for b, r in zip(best, kept, strict=True)], dtype=float)
    sets.add("held-out questions, 14 subjects", right)
    for stem, name in (
        ("snips", "SNIPS, 7 intents"),
        ("arena_hard", "Arena-Hard prompts, 250 clusters"),
        ("self_instruct", "self-instruct seeds, 174 tasks"),
    ):
        rows = read_rows(folder / f"{stem}.jsonl")
        routes = [Route(n, d) for n, d in dict.fromkeys((r["route"], r["description"]) for r in rows)]
        rows = rows[:: max(1, len(rows) // 700)]
        _, best = ranked(encode([r["text"] for r in rows])[0], routes, encode)
        sets.add(
            f"{name} (never trained on)", np.array([b == r["route"] for b, r in zip(best, rows, strict=True)], float)
        )


def torch_encoder(weights: Path) -> EmbedTexts:
    model, tok = load(weights), tokenizer(MAX_TOKENS)

    def encode(texts: Sequence[str]) -> tuple[Matrix, Matrix]:
        found = embed(model, tok, texts)
        with torch.no_grad():
            return found.numpy(), model.opening_probability(found).numpy()

    return encode


def onnx_encoder(path: Path) -> EmbedTexts:
    import onnxruntime  # noqa: PLC0415 - only where a file is measured

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tok = tokenizer(MAX_TOKENS)

    def encode(texts: Sequence[str]) -> tuple[Matrix, Matrix]:
        out, opening = np.zeros((len(texts), 384), np.float32), np.zeros(len(texts), np.float32)
        for i, text in enumerate(texts):  # one at a time, as in production: dynamic quantisation depends on the batch
            ids, mask = batch(tok([text]))
            out[i], opening[i] = (
                o[0] for o in session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
            )
        return out, opening

    return encode


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an encoder on sets it was not trained on.")
    parser.add_argument("--data", type=Path, required=True)
    encoder = parser.add_mutually_exclusive_group(required=True)
    encoder.add_argument("--weights", type=Path)
    encoder.add_argument("--onnx", type=Path)
    parser.add_argument("--cases", type=Path, help="tests/data/cases")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encode = onnx_encoder(args.onnx) if args.onnx else torch_encoder(args.weights)
    sets = Sets()
    measure_clinc(args.data / "clinc150", encode, sets)
    measure_sgd(args.data / "sgd", encode, sets)
    measure_held_out(args.data / "train", encode, sets)
    if args.cases:
        measure_cases(args.cases, encode, sets)
    for name, (value, low, high) in sets.figures.items():
        digits = 3 if "AUROC" in name else 1
        print(f"| {name} | {value:.{digits}f} | {low:.{digits}f} to {high:.{digits}f} |")
    print(sets.recall)
    if args.json:
        args.json.write_text(json.dumps({"figures": sets.figures, "recall": sets.recall}, indent=1))


if __name__ == "__main__":
    main()
