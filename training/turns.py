"""Does a turn ask for something new, or does it go on with what is being talked about?

Owns: the texts for that question (data_own/turns.md, expanded, and openings from the training files); the encoder has a
linear head over the sentence vector that answers it. "Yes, the second one, for four people" says nothing on the topic;
its scores are noise. A router that knows this holds the previous route firmly there and lets go of it at "now find me a
cab".
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from data import NONE, outlines, read_outline, read_rows

OPENING_FILES = {"hwu64": 1500, "slurp": 500, "own_llm_prompts": 1500, "banking77": 500}
# HWU64's own labels for turns that carry no topic
CONTINUING = {
    "general affirm", "general dontcare", "general explain", "general repeat", "general negate", "general confirm",
    "general praise", "general commandstop",
}  # fmt: skip
BARE_SLOTS = {"date", "time", "number", "city", "name"}
WITH_LEAD = 0.4
VARIANTS = 12  # expansions of a template with slots
_SLOT = re.compile(r"\{(\w+)\}")


def sections(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("@ "):
            name = line[2:].strip()
        elif name and line.strip():
            found[name].append(line.strip())
    return dict(found)


def expand(template: str, slots: dict[str, list[str]], rng: random.Random) -> str:
    return _SLOT.sub(lambda match: rng.choice(slots.get(match[1], [match[0]])), template)


def dressed(text: str, leads: Sequence[str], rng: random.Random) -> str:
    """`text` as people type it: after a word of reaction or not, with capitals and full stops or not."""
    if rng.random() < WITH_LEAD:
        joint = rng.choice([", ", ". ", ". ", " "])
        text = rng.choice(leads) + joint + (text[:1].upper() + text[1:] if joint == ". " else text)
    if rng.random() < 0.5:
        text = text[:1].upper() + text[1:] + ("" if text[-1] in ".?!" else rng.choice([".", ".", "?", "!", ""]))
    return text


def build(folder: Path, own: Path, seed: int) -> tuple[list[str], list[str], list[str]]:
    """Openings, continuations, and those continuations that carry no topic at all."""
    rng = random.Random(seed)
    slots = sections(own / "turns.md")
    leads = slots["lead"]
    going_on = [t for t in slots["continue"] for _ in range(VARIANTS if "{" in t else 4)]
    opening = [t for t in slots["open"] for _ in range(3 * VARIANTS)]
    for stem, count in OPENING_FILES.items():
        rows = read_rows(folder / f"{stem}.jsonl")
        going_on += [r["text"] for r in rows if r["route"] in CONTINUING]
        opening += [r["text"][:300] for r in rng.sample(rows, count) if r["route"] not in CONTINUING | {"chit-chat"}]
    for path in outlines(own):
        opening += [t for _, route, _, texts in read_outline(path) if route != NONE for t in texts]
    bare = [t for t in slots["continue"] if set(_SLOT.findall(t)) <= BARE_SLOTS]
    written = ([dressed(expand(t, slots, rng), leads, rng) for t in part] for part in (opening, going_on, bare * 3))
    opened, continued, topicless = written
    return opened, continued, topicless
