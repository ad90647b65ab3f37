"""Asking Arch-Router on vLLM: the answer is begun for it, held to the configured names, and cut off once decided.

One question, in vLLM's words: the assistant's turn is prefilled with `{"route": "` (`continue_final_message`), the rest
constrained to the names and `other` (`structured_outputs.choice`), greedy (`temperature` 0), and `max_tokens` is what
usually decides (`routing.choices`). If the text then still fits two names, the same question is asked again in full:
with greedy decoding and a cached prompt this costs little, and the answer is exactly the full one.

`stop_token_ids` would seem to fit, but vLLM 0.32 hands them to the grammar as ends of the answer and fails; `stop`
takes at most four strings.
Docs: https://docs.vllm.ai/en/latest/features/structured_outputs.html
"""

from __future__ import annotations

from collections.abc import Sequence

from router_service.classify.backend import Verdict, only_choice, unless_lacking
from router_service.classify.facts import Facts
from router_service.classify.model_server import Choice, Failure, ModelServer, ServedModel, ServerFailed
from router_service.routing.answer import OTHER, Answer, parse_answer
from router_service.routing.choices import (
    Step,
    deciding_depths,
    first_guess,
    longest_answer_tokens,
    prefill,
    remaining,
    spell_choices,
    weigh,
)
from router_service.routing.decision import Reason
from router_service.routing.prompt import Layout
from router_service.routing.special_tokens import SPECIAL_TOKENS

# vLLM's default --max-logprobs; it refuses more.
_TOP_LOGPROBS = 20


class VllmBackend:
    """Questions for one configuration's preferences."""

    name = "vllm"

    def __init__(self, model: str, names: Sequence[str], layout: Layout) -> None:
        self._model = model
        self._names = tuple(names)
        self._choices = spell_choices(names, layout)
        self._prefill = prefill(layout)
        self._bound = longest_answer_tokens(self._choices)

    async def ask(self, server: ModelServer, facts: Facts | None, prompt: str) -> Verdict:
        guess = facts.first_guess_tokens if facts else None
        weighs = facts.weighs if facts else False
        decoded = 0
        text = ""
        bounds = (self._bound,) if guess is None or guess >= self._bound else (guess, self._bound)
        for number, max_tokens in enumerate(bounds, start=1):
            completion = await server.complete(self._question(prompt, max_tokens, weighs=weighs))
            choice = only_choice(completion)
            text = choice.message.content or ""
            decoded += completion.usage.completion_tokens if completion.usage else 0
            open_names = remaining(text, self._choices)
            if len(open_names) == 1:
                (decided,) = open_names
                weights = weigh(_steps(choice), decided, self._choices)
                return Verdict(self._answer(decided), weights, number, decoded)
            if not open_names:
                break
        # Only a server that does not constrain its answers gets here.
        return Verdict(parse_answer(self._prefill + text, self._names), None, number, decoded)

    async def probe(self, server: ModelServer, served: tuple[ServedModel, ...], prompt: str) -> Facts:
        model = next((model for model in served if model.id == self._model), None)
        if model is None:
            return Facts(served=served, serves_model=False)
        version = await unless_lacking(server.version())
        weighs = True
        try:
            completion = await server.complete(self._question(prompt, self._bound, weighs=True))
        except ServerFailed as failed:
            if failed.failure is not Failure.REJECTED:
                raise
            weighs = False  # a server whose --max-logprobs is smaller refuses the question
            completion = await server.complete(self._question(prompt, self._bound, weighs=False))
        choice = only_choice(completion)
        open_names = remaining(choice.message.content or "", self._choices)
        constrained = len(open_names) == 1
        return Facts(
            served=served,
            serves_model=True,
            version=version,
            max_model_tokens=model.max_model_len,
            special_tokens=await self._special_tokens(server),
            first_guess_tokens=await self._first_guess(server) if constrained else None,
            constrained=constrained,
            weighs=weighs and constrained and weigh(_steps(choice), open_names[0], self._choices) is not None,
        )

    async def _first_guess(self, server: ModelServer) -> int | None:
        spelled: dict[str, list[int]] = {}
        for name, text in self._choices.items():
            tokens = await unless_lacking(server.tokenize(self._model, text))
            if tokens is None:
                return None
            spelled[name] = tokens.tokens
        return first_guess(deciding_depths(spelled).values())

    async def _special_tokens(self, server: ModelServer) -> frozenset[str]:
        tokens = await unless_lacking(server.tokenize(self._model, "\n".join(sorted(SPECIAL_TOKENS))))
        if tokens is None or tokens.token_strs is None:
            return SPECIAL_TOKENS
        return SPECIAL_TOKENS.intersection(tokens.token_strs)

    def _answer(self, name: str) -> Answer:
        if name == OTHER and name not in self._names:
            return Answer(Reason.NO_ROUTE)
        return Answer(Reason.MATCHED, name)

    def _question(self, prompt: str, max_tokens: int, *, weighs: bool) -> dict[str, object]:
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": self._prefill}],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "structured_outputs": {"choice": list(self._choices.values())},
            "temperature": 0,
            "max_tokens": max_tokens,
            "logprobs": weighs,
            "top_logprobs": _TOP_LOGPROBS if weighs else None,
        }


def _steps(choice: Choice) -> list[Step]:
    tokens = (choice.logprobs.content if choice.logprobs else None) or []
    return [Step(token.token, tuple((top.token, top.logprob) for top in token.top_logprobs)) for token in tokens]
