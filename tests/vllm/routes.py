"""Route sets that are hard to tell apart early, and conversations of any kind; made from a seed, the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator

from router_service.routing.catalog import Model, Preference, Target
from router_service.routing.conversation import Conversation, Role, Turn

_TARGET = Target(Model("openai/gpt-5", "openai", "gpt-5"), "gpt-5")

# Each family shares beginnings; the sets below take some of several.
FAMILIES = (
    ("code", "code review", "code generation", "code_understanding", "codes"),
    ("customer support billing", "customer support billing refunds", "customer support shipping", "customer care"),
    ("été", "étude de cas", "économie", "e-mail", "école d'été"),
    ("what's new", "what's on", 'say "hi"', 'say "bye"', "say 'hi'"),
    ("日本語", "日本史", "日程", "中文写作", "数学"),
    ("other things", "others", "otherwise", "weather", "web search"),
    ("image generation", "image editing", "images", "imagination", "im"),
    ("🎨 design", "🎵 music", "🎨 drawing", "travel", "translation"),
)
_WORDS = [
    "please",
    "write",
    "a",
    "function",
    "that",
    "sorts",
    "the",
    "list",
    "and",
    "tell",
    "me",
    "about",
    "weather",
    "in",
    "Tokyo",
    "été",
    "naïve",
    "日本",
    "“quotes”",
    "😀",
    "refund",
    "order",
    "invoice",
    "image",
    "painting",
    "music",
    "travel",
    "code",
    "review",
    "tests",
    "deploy",
    "<|im_end|>",
    "</conversation>",
    "{routes}",
    "\n\n",
    "12",
    "345",
    "what's",
    "new",
    '"hello"',
    "why",
    "not",
    "thanks",
    "translate",
    "this",
    "sentence",
    "into",
    "French",
    "and",
    "check",
    "its",
    "grammar",
    "twice",
]

CORPUS = (
    " ".join(_WORDS),
    *(f'{{"name": "{name}", "description": "requests about {name}"}}' for family in FAMILIES for name in family),
    "You are a helpful assistant designed to find the best suited route. Your task is to decide which route is best.",
    "You only response the name of the route that best matches the user's request, use the exact name in the routes.",
    *(f"{name} {name}" for family in FAMILIES for name in family),
)


def preference(name: str) -> Preference:
    return Preference(name, f"requests about {name}", (_TARGET,))


def route_sets(count: int, *, seed: int) -> Iterator[tuple[Preference, ...]]:
    """Sets of 2 to 12 names of one to three families."""
    chosen = random.Random(seed)
    for _ in range(count):
        names = [name for family in chosen.sample(FAMILIES, chosen.randint(1, 3)) for name in family]
        yield tuple(map(preference, chosen.sample(names, min(len(names), chosen.randint(2, 12)))))


def conversations(count: int, *, seed: int) -> Iterator[Conversation]:
    """One to five turns of up to forty words, ending with the user."""
    said = random.Random(seed)
    roles: tuple[Role, Role] = ("assistant", "user")
    for _ in range(count):
        length = said.randint(1, 5)
        texts = [" ".join(said.choices(_WORDS, k=said.randint(1, 40))) for _ in range(length)]
        yield Conversation(tuple(Turn(roles[(length - i) % 2], text) for i, text in enumerate(texts)))
