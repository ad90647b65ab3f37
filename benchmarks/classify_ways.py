"""Five ways to ask a routing model, and what it is asked about.

    naive          free decoding of the whole answer, as the client published with the weights asks
    json schema    the answer held to a JSON schema, decoded whole
    choice         the answer begun with {"route": " and held to the names, decoded whole
    ours           the same, cut off where it is decided: the classifier that requests meet
    single token   one token after the same prompt: nothing that reads the prompt can be faster

Random weights never end a free answer, and spell a constrained one letter by letter. A whole answer is therefore cut at
the tokens that the tokenizer would spell it with, and the end of the turn: what trained weights write.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import count

from router_service.classify.arch_router import ArchRouter
from router_service.classify.model_server import ModelServer
from router_service.config.models import Config
from router_service.routing.answer import OTHER
from router_service.routing.choices import prefill, spell_choices
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import ANSWERED
from router_service.routing.prompt import Layout

NAIVE, SCHEMA, CHOICE, OURS, SINGLE = "naive", "json schema", "choice", "ours", "single token"
# The smallest block of the CPU's attention: less of the routes is left over at their end.
BLOCK_TOKENS = 32
# Asks about one conversation.
Way = Callable[[Conversation], Awaitable[None]]

_SUBJECTS = [
    "code",
    "weather",
    "travel",
    "poetry",
    "finance",
    "health",
    "music",
    "sports",
    "law",
    "cooking",
    "history",
    "physics",
    "chess",
    "gardening",
    "movies",
    "politics",
    "insurance",
    "astronomy",
    "fashion",
    "biology",
]
_TASKS = ("questions", "writing", "planning", "analysis", "translation")
_WORDS = [
    *_SUBJECTS,
    *_TASKS,
    *[
        "please",
        "tell",
        "me",
        "how",
        "to",
        "find",
        "the",
        "best",
        "way",
        "for",
        "a",
        "new",
        "problem",
        "with",
        "this",
        "old",
        "one",
    ],
]


def config_of(url: str, preferences: int) -> Config:
    """Names that differ in their first token while there are subjects enough, then in their second."""
    names = [(subject, task) for task in _TASKS for subject in _SUBJECTS][:preferences]
    return Config.model_validate(
        {
            "model_providers": [{"model": "openai/small", "default": True}],
            "routing_preferences": [
                {
                    "name": f"{subject} {task}",
                    "description": f"{task} about {subject}, its terms, its methods and its usual problems",
                    "models": ["small"],
                }
                for subject, task in names
            ],
            "router": {"backend": "vllm", "url": url, "timeout": "1h"},
        }
    )


def conversations(*, seed: str) -> Iterator[Conversation]:
    """First questions of ten to forty words and a number, never the same twice; of any seed as long as of any other.

    Their lengths are spread over a whole block of the prefix cache: of a prompt that was seen before, what is left over
    after its last whole block is read again, which would else be all of a block for one way and nothing for another.
    """
    said = random.Random(seed)
    for number in count():
        words = 10 + 13 * number % BLOCK_TOKENS
        yield Conversation((Turn("user", " ".join([*said.choices(_WORDS, k=words), f"{number:06}"])),))


async def ways(
    classifier: ArchRouter, server: ModelServer, *, model: str, names: Sequence[str], layout: Layout
) -> Mapping[str, Way]:
    """Each way of asking, by name."""
    begun = prefill(layout)
    choices = spell_choices(names, layout)

    async def tokens_of(texts: Sequence[str]) -> int:
        """The mean number of tokens of these answers, with the end of the turn."""
        return round(statistics.mean([len((await server.tokenize(model, text)).tokens) + 1 for text in texts]))

    whole_tokens = await tokens_of([f"{begun}{choice}}}" for choice in choices.values()])
    name_tokens = await tokens_of(list(choices.values()))
    schema = {
        "type": "object",
        "properties": {"route": {"enum": [*names, OTHER]}},
        "required": ["route"],
        "additionalProperties": False,
    }

    def asking(max_tokens: int, *, begin: bool = False, **how: object) -> Way:
        async def ask(conversation: Conversation) -> None:
            messages = [{"role": "user", "content": classifier.prompt(conversation)}]
            if begin:
                messages.append({"role": "assistant", "content": begun})
            await server.complete(
                {
                    "model": model,
                    "messages": messages,
                    "add_generation_prompt": not begin,
                    "continue_final_message": begin,
                    "temperature": 0,
                    "max_tokens": max_tokens,
                    **how,
                }
            )

        return ask

    async def ours(conversation: Conversation) -> None:
        classification = await classifier.classify(conversation)
        assert classification.reason in ANSWERED, classification.reason

    return {
        NAIVE: asking(whole_tokens, ignore_eos=True),
        SCHEMA: asking(whole_tokens, structured_outputs={"json": schema, "disable_any_whitespace": True}),
        CHOICE: asking(name_tokens, begin=True, structured_outputs={"choice": list(choices.values())}),
        OURS: ours,
        SINGLE: asking(1, begin=True),
    }
