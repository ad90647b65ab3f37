"""Train the encoder so that the production score ranks the right route first.

    python train.py --data DIR --base DIR --out FILE [--teacher FILE] [--steps 300] [--seed 7]

Loss of a step (two blocks, see data.py, and the turns of some dialogues, see dialogues.py): cross entropy over the
candidate routes at temperature 0.05 of the production score; half of the same for the whole line alone; a sigmoid term
that pushes right pairs above and all others below one learned threshold, so that absolute scores mean something. The
other block's routes are negatives too, except where they score about as high as the right route: they may be right as
well. Turns are scored as in production: with an echo of the turn before, and a head start for its route that `opening`
decides.

With `--teacher FILE` (teacher.py), a last term: requests of every kind, against phrases drawn from all route lists and
against each other, must be as near as a larger encoder finds them. It keeps what no list of routes trains.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from conversation import ECHO, ECHO_SHARE, HEAD_START, OPENING_BYTES, OPENING_SHARE
from data import Block, Candidate, Group, draw_block, group_weights, load_groups, nearest, outlines, read_rows
from dialogues import TurnBlock, draw_turns, read_dialogues
from encoder import OPENING_CERTAINTY, WORD_TABLE, Encoder, Tokens, batch, embed, load, save, tokenizer
from torch import Tensor, nn
from torch.nn import functional
from turns import build

TEMPERATURE = 0.05
WHOLE_LOSS, SIGMOID_LOSS, TURN_LOSS = 0.5, 1.0, 0.4
DIALOGUE_LOSS = 0.7
TURNS, TOPICLESS = 10, 4  # turns of a step for the head `opening`, and texts that belong to no route
WHOLE_SHARE = 0.25
SURELY_BELOW = (
    0.1  # another block's route that scores less than this below the right one may also be right: no negative
)
NONE_BELOW = 0.35  # the same for a text that belongs to no route of its own block
FROZEN_LAYERS = 2
MAX_TOKENS = 64
TOKENS_AT_ONCE = 1600  # of one forward pass, so that short route texts are not padded to the longest prompt
TEACHER_LOSS, TEACHER_TEXTS, TEACHER_PHRASES = 1.0, 16, 48  # texts and phrases of a step
EMA = 0.98  # what is written is the running mean of the weights
WARM_UP = 30  # steps
# blocks per file, to be seen with each other and data.OWN_SHARE
WEIGHTS = {
    "banking77": 1.0, "hwu64": 1.2, "slurp": 0.5, "own_llm_prompts": 1.6, "bbh": 0.4, "gsm8k": 0.0, "mmlu": 1.3,
}  # fmt: skip
HELD_OUT = ("snips", "arena_hard", "self_instruct")  # measured, never trained on
HELD_MMLU = 5  # every fifth question of mmlu.jsonl is kept for measuring


class Threshold(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(0.4))
        self.scale = nn.Parameter(torch.tensor(15.0))


@dataclass(frozen=True)
class Lesson:
    """What the teacher says of some texts: its similarities [texts, texts and phrases]."""

    texts: list[str]
    phrases: list[str]
    similar: Tensor


class Teacher:
    """The vectors that teacher.py wrote."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as found:
            self._texts, self._phrases = json.loads(str(found["texts"])), json.loads(str(found["phrases"]))
            vectors = torch.from_numpy(found["vectors"].astype(np.float32))
        self._of_texts, self._of_phrases = vectors[: len(self._texts)], vectors[len(self._texts) :]

    def lesson(self, rng: random.Random) -> Lesson:
        texts = rng.sample(range(len(self._texts)), TEACHER_TEXTS)
        phrases = rng.sample(range(len(self._phrases)), TEACHER_PHRASES)
        compared = torch.cat([self._of_texts[texts], self._of_phrases[phrases]])
        return Lesson(
            [self._texts[i] for i in texts], [self._phrases[i] for i in phrases], self._of_texts[texts] @ compared.T
        )


def teacher_loss(lesson: Lesson, texts: Tensor, phrases: Tensor) -> Tensor:
    """Distance of the distributions over what each text is compared with, itself left out."""
    itself = torch.eye(len(texts), len(texts) + len(phrases), dtype=torch.bool)
    wanted, found = (
        functional.log_softmax(similar.masked_fill(itself, -9) / TEMPERATURE, dim=1)
        for similar in (lesson.similar, texts @ torch.cat([texts, phrases]).T)
    )
    return functional.kl_div(found, wanted, reduction="batchmean", log_target=True)


def encode(model: Encoder, tok: Tokens, texts: Sequence[str]) -> Tensor:
    """Texts of about one length at a time."""
    encoded = tok(texts)
    lengths = [len(tokens) for tokens in encoded]
    order = sorted(range(len(texts)), key=lambda i: lengths[i])
    vectors, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end - start + 1) * lengths[order[end]] <= TOKENS_AT_ONCE:
            end += 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors.append(model(*batch([encoded[i] for i in order[start:end]])))
        start = end
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(vectors)[back]


def scores(text: Tensor, whole: Tensor, parts: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """`index` [routes, parts] into `parts`, -1 where there is none -> production score and whole-line cosine."""
    cosines = torch.cat([text @ parts.T, text.new_full((len(text), 1), -1.0)], 1)  # index -1 reads the last column
    top = cosines[:, index].topk(min(2, index.shape[1]), dim=2).values
    single = (index >= 0).sum(1) < 2
    best = torch.where(single[None], top[:, :, 0], top.mean(2))
    line = text @ whole.T
    return WHOLE_SHARE * line + (1 - WHOLE_SHARE) * best, line


@dataclass(frozen=True)
class Vectors:
    """The texts of a step, each encoded once."""

    place: dict[str, int]
    table: Tensor

    def of(self, texts: Sequence[str]) -> Tensor:
        return self.table[[self.place[t] for t in texts]]


def routed(text: Tensor, candidates: Sequence[Candidate], vectors: Vectors) -> tuple[Tensor, Tensor]:
    """Vectors [texts, 384] -> production score and whole-line cosine, each [texts, candidates]."""
    used = sorted({vectors.place[p] for c in candidates for p in c.parts})
    column = {p: i for i, p in enumerate(used)}
    index = torch.full((len(candidates), max(len(c.parts) for c in candidates)), -1)
    for row, c in enumerate(candidates):
        index[row, : len(c.parts)] = torch.tensor([column[vectors.place[p]] for p in c.parts])
    return scores(text, vectors.of([c.whole for c in candidates]), vectors.table[used], index)


def dialogue_loss(model: Encoder, block: TurnBlock, vectors: Vectors) -> tuple[Tensor, Tensor]:
    """Cross entropy over the routes of turns that ask for something, and of `opening` over turns behind another."""
    said = vectors.of(block.texts)
    follows = torch.tensor([b >= 0 for b in block.before])
    echoing = functional.normalize(said + ECHO * said[list(block.before)] * follows[:, None], dim=1)
    both, _ = routed(torch.cat([said, echoing]), block.candidates, vectors)
    total = (1 - ECHO_SHARE) * both[: len(said)] + ECHO_SHARE * both[len(said) :]
    certain = model.turn(said)
    length = torch.tensor([min(1.0, len(t.encode()) / OPENING_BYTES) for t in block.texts])
    opening = OPENING_SHARE * torch.sigmoid(OPENING_CERTAINTY * certain) + (1 - OPENING_SHARE) * length
    start = HEAD_START * (1 - opening)
    held = functional.one_hot(torch.tensor(block.held).clamp(min=0), len(block.candidates))
    total = total + held * (start * follows)[:, None]
    label = torch.tensor(block.labels)
    opens = torch.tensor([float(o) for o in block.opens])
    return (
        functional.cross_entropy(total[label >= 0] / TEMPERATURE, label[label >= 0]),
        functional.binary_cross_entropy_with_logits(certain[follows], opens[follows]),
    )


def step_loss(
    model: Encoder,
    tok: Tokens,
    blocks: Sequence[Block],
    dialogue: TurnBlock,
    turns: Sequence[tuple[str, int]],
    *,
    lesson: Lesson | None,
    gate: Threshold,
) -> Tensor:
    candidates: list[Candidate] = [c for block in blocks for c in block.candidates]
    texts = [t for block in blocks for t in block.texts]
    unique = list(
        dict.fromkeys(
            [
                *texts,
                *dialogue.texts,
                *(t for t, _ in turns),
                *(t for c in (*candidates, *dialogue.candidates) for t in (c.whole, *c.parts)),
                *([*lesson.texts, *lesson.phrases] if lesson else []),
            ]
        )
    )
    vectors = Vectors({t: i for i, t in enumerate(unique)}, encode(model, tok, unique))
    total, line = routed(vectors.of(texts), candidates, vectors)

    owner = torch.tensor([b for b, block in enumerate(blocks) for _ in block.texts])
    home = torch.tensor([b for b, block in enumerate(blocks) for _ in block.candidates])
    offset = [0]
    for block in blocks:
        offset.append(offset[-1] + len(block.candidates))
    label = torch.tensor([offset[b] + n if n >= 0 else -1 for b, block in enumerate(blocks) for n in block.labels])
    foreign = owner[:, None] != home[None]
    known = label >= 0
    with torch.no_grad():
        own = total.gather(1, label.clamp(min=0)[:, None])
        limit = torch.where(known[:, None], own - SURELY_BELOW, torch.full_like(own, NONE_BELOW))
        masked = foreign & (total > limit)
    ranked = [
        functional.cross_entropy(s[known].masked_fill(masked[known], -9) / TEMPERATURE, label[known])
        for s in (total, line)
    ]
    target = torch.zeros_like(total)
    target[known, label[known]] = 1
    logits = (total - gate.bias) * gate.scale
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = torch.where(target > 0, 5.0, 1.0) * ~masked
    sigmoid = (each * weight).sum() / weight.sum()
    opening = model.turn(vectors.of([t for t, _ in turns]))
    turn = functional.binary_cross_entropy_with_logits(opening, torch.tensor([float(y) for _, y in turns]))
    spoken, following = dialogue_loss(model, dialogue, vectors)
    total_loss = ranked[0] + WHOLE_LOSS * ranked[1] + SIGMOID_LOSS * sigmoid
    total_loss = total_loss + DIALOGUE_LOSS * spoken + TURN_LOSS * (turn + following)
    if lesson is None:
        return total_loss
    return total_loss + TEACHER_LOSS * teacher_loss(lesson, vectors.of(lesson.texts), vectors.of(lesson.phrases))


def prepare(groups: Sequence[Group], base: Encoder, tok: Tokens) -> None:
    for group in groups:
        lines = [f"{n}: {d[0] if d else n}" for n, d in zip(group.names, group.descriptions, strict=True)]
        group.neighbours = nearest(embed(base, tok, lines).numpy())


def with_topicless(block: Block, texts: Sequence[str]) -> Block:
    return replace(block, texts=(*block.texts, *texts), labels=(*block.labels, *[-1] * len(texts)))


def held_out(folder: Path) -> set[str]:
    return {row["text"] for row in read_rows(folder / "mmlu.jsonl")[::HELD_MMLU]}


def main() -> None:
    args = arguments()
    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    tok = tokenizer(MAX_TOKENS)
    base = load(args.base / "model.safetensors")
    model = load(args.start) if args.start else copy.deepcopy(base)
    for name, parameter in model.named_parameters():
        frozen = name.startswith("embeddings.") or any(f"layer.{i}." in name for i in range(FROZEN_LAYERS))
        parameter.requires_grad = not frozen
    gate = Threshold()
    head = list(model.opening.parameters())
    trained = [p for n, p in model.named_parameters() if p.requires_grad and not n.startswith("opening.")]
    optimiser = torch.optim.AdamW(
        [
            {"params": trained, "lr": args.rate},
            {"params": [gate.bias], "lr": 1e-3},
            {"params": [gate.scale], "lr": 0.02},
            {"params": head, "lr": 5e-3},
        ],
        weight_decay=0.01,
    )
    peaks = [group["lr"] for group in optimiser.param_groups]
    dialogues = read_dialogues(args.own)
    groups = load_groups(WEIGHTS, args.data, outlines(args.own), held_out(args.data))
    groups = [g for g in (*groups, *(d.group for d in dialogues)) if (g.own or g.weight > 0) and any(g.texts)]
    prepare(groups, base, tok)
    opened, continued, topicless = build(args.data, args.own, args.seed)
    weights, lengths = group_weights(groups), [d.turns**0.5 for d in dialogues]
    print({g.name: (len(g.names), sum(map(len, g.texts)), round(w, 2)) for g, w in zip(groups, weights, strict=True)})
    teacher = Teacher(args.teacher) if args.teacher else None
    averaged = {n: p.detach().clone() for n, p in model.named_parameters()}
    trace: list[float] = []
    begun = time.monotonic()
    for step in range(args.steps):
        done = max(step / args.steps, (time.monotonic() - begun) / (60 * args.minutes))
        if done >= 1:
            break
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * min(1.0, (step + 1) / WARM_UP) * max(0.03, 1 - done)
        first, second = rng.choices(groups, weights, k=2)
        spoken = draw_turns(rng.choices(dialogues, lengths)[0], rng)
        turns = [(t, 1) for t in rng.sample(opened, TURNS // 2)] + [(t, 0) for t in rng.sample(continued, TURNS // 2)]
        blocks = [with_topicless(draw_block(first, rng), rng.sample(topicless, TOPICLESS)), draw_block(second, rng)]
        lesson = teacher.lesson(rng) if teacher else None
        loss = step_loss(model, tok, blocks, spoken, turns, lesson=lesson, gate=gate)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        trace.append(float(loss.detach()))
        with torch.no_grad():
            for n, p in model.named_parameters():
                if p.requires_grad:
                    averaged[n].lerp_(p, 1 - min(EMA, (step + 1) / (step + 11)))
        if step % 20 == 19:
            recent = trace[-60:]
            print(
                f"{step + 1} steps, {time.monotonic() - begun:.0f} s, loss {sum(recent) / len(recent):.3f}, "
                f"threshold {gate.bias.item():.3f}",
                flush=True,
            )
            write(averaged, args.out)
    write(averaged, args.out)


def write(state: dict[str, Tensor], path: Path) -> None:
    model = Encoder(len(state[WORD_TABLE]))
    model.load_state_dict(state)
    partial = path.with_suffix(".partial")
    save(model, partial)
    partial.replace(path)


def arguments() -> argparse.Namespace:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the .jsonl files named in README.md")
    parser.add_argument("--base", type=Path, required=True, help="folder with model.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="where the tuned weights go (.safetensors)")
    parser.add_argument("--own", type=Path, default=here / "data_own", help="folder of our own outlines")
    parser.add_argument("--start", type=Path, help="weights to start from instead of the base")
    parser.add_argument("--teacher", type=Path, help="what teacher.py wrote")
    parser.add_argument("--steps", type=int, default=420)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="ends the run before --steps are done")
    parser.add_argument("--rate", type=float, default=9e-5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
