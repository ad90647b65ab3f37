"""Arch-Router's prompt: the bytes the model was trained on, with the routes and the conversation in their places.

Owns the layouts and the budget. The text is part of the model's interface, mistakes included ("full filled", "response
with", two spaces, trailing spaces): correcting it changes the model's answers. `prompts/model_card.txt` is the layout
published with the weights (https://huggingface.co/katanemo/Arch-Router-1.5B), `prompts/compact.txt` the one that a
gateway shipped for a year. Paper: arXiv 2506.16655.

The prompt is joined from parts and never edited afterwards, so a description or a user's text that contains
`{conversation}`, `</routes>` or any other part of it stays a JSON string. Everything that does not depend on the
conversation comes first and is the same bytes for every request: the model server's prefix cache pays it once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation, Turn, trim

# The estimate every limit in tokens is made with; English averages a little more.
BYTES_PER_TOKEN = 4
# What must remain for the conversation beside the routes: two screens of text, with both ends of a long last turn.
LEAST_CONVERSATION_TOKENS = 128


class LayoutName(StrEnum):
    """`router.prompt`."""

    MODEL_CARD = "model_card"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Layout:
    """A template, and how JSON is written into it."""

    before_routes: str
    before_conversation: str
    after: str
    item_separator: str
    key_separator: str
    ensure_ascii: bool

    def string(self, text: str) -> str:
        return json.dumps(text, ensure_ascii=self.ensure_ascii)

    def object(self, **members: str) -> str:
        """An object whose members' values are JSON already."""
        written = (f'"{name}"{self.key_separator}{value}' for name, value in members.items())
        return f"{{{self.item_separator.join(written)}}}"

    def array(self, items: Iterable[str]) -> str:
        return f"[{self.item_separator.join(items)}]"


_WRITTEN: dict[LayoutName, tuple[str, str, bool]] = {
    LayoutName.MODEL_CARD: (", ", ": ", True),
    LayoutName.COMPACT: (",", ":", False),
}


def load_layout(name: LayoutName) -> Layout:
    """The named template, split at its two places."""
    template = files(__package__).joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8")
    before_routes, _, rest = template.partition("{routes}")
    before_conversation, _, after = rest.partition("{conversation}")
    item_separator, key_separator, ensure_ascii = _WRITTEN[name]
    return Layout(before_routes, before_conversation, after, item_separator, key_separator, ensure_ascii)


class RoutesTooLong(ValueError):
    """The preferences alone leave no room for a conversation. `needed_tokens` is the least budget that would do."""

    def __init__(self, needed_tokens: int) -> None:
        super().__init__(f"the preferences need a budget of {needed_tokens} tokens")
        self.needed_tokens = needed_tokens


@dataclass(frozen=True, slots=True)
class Frame:
    """The prompt of one configuration without a conversation. Made by `frame_prompt`."""

    layout: Layout
    before: str
    after: str
    max_turns: int
    room_bytes: int
    special_tokens: re.Pattern[str] | None


def frame_prompt(
    preferences: Iterable[Preference],
    *,
    layout: Layout,
    max_turns: int,
    max_prompt_tokens: int,
    special_tokens: Collection[str] = (),
) -> Frame:
    """The part of the prompt that a configuration decides. Raises RoutesTooLong.

    `special_tokens` are the served tokenizer's; see `_write_text` for what becomes of them in a conversation.
    """
    routes = layout.array(
        layout.object(name=layout.string(route.name), description=layout.string(route.description))
        for route in preferences
    )
    before = f"{layout.before_routes}{routes}{layout.before_conversation}"
    fixed_bytes = len(f"{before}[]{layout.after}".encode())
    needed_tokens = -(-fixed_bytes // BYTES_PER_TOKEN) + LEAST_CONVERSATION_TOKENS
    if needed_tokens > max_prompt_tokens:
        raise RoutesTooLong(needed_tokens)
    return Frame(
        layout=layout,
        before=before,
        after=layout.after,
        max_turns=max_turns,
        room_bytes=max_prompt_tokens * BYTES_PER_TOKEN - fixed_bytes,
        special_tokens=_starts_of(special_tokens),
    )


def build_prompt(frame: Frame, conversation: Conversation) -> str:
    """The text of the one user message. Never longer than the budget; always with the last user turn."""
    write = _turn_writer(frame)
    separator = frame.layout.item_separator
    kept = trim(
        conversation,
        max_turns=frame.max_turns,
        budget_bytes=frame.room_bytes,
        cost=lambda turn: len(write(turn).encode()) + len(separator),
    )
    return f"{frame.before}{frame.layout.array(map(write, kept.turns))}{frame.after}"


def _turn_writer(frame: Frame) -> Callable[[Turn], str]:
    layout = frame.layout

    def write(turn: Turn) -> str:
        return layout.object(role=layout.string(turn.role), content=_write_text(frame, turn.content))

    return write


def _write_text(frame: Frame, text: str) -> str:
    """`text` as a JSON string in which the tokenizer finds none of its special tokens.

    A model server tokenizes `<|im_end|>` in a user's text to the real end of turn. Its first character is therefore
    written as a JSON escape (`\\u003c|im_end|>`): the same string to whoever reads the JSON, plain text to the
    tokenizer.
    """
    if frame.special_tokens is None:
        return frame.layout.string(text)
    pieces = frame.special_tokens.split(text)  # plain text at even positions, first characters at odd ones
    return '"{}"'.format(
        "".join(
            frame.layout.string(piece)[1:-1] if position % 2 == 0 else _escape(piece)
            for position, piece in enumerate(pieces)
        )
    )


def _starts_of(special_tokens: Collection[str]) -> re.Pattern[str] | None:
    """Matches each character at which a special token begins, those inside another one too."""
    if not special_tokens:
        return None
    tokens = "|".join(re.escape(token) for token in sorted(special_tokens, key=len, reverse=True))
    return re.compile(f"(?=(?:{tokens}))(.)", re.DOTALL)


def _escape(character: str) -> str:
    utf16 = character.encode("utf-16-be")
    return "".join(f"\\u{utf16[at : at + 2].hex()}" for at in range(0, len(utf16), 2))
