"""Asking Arch-Router on vLLM: the answer is begun for it, held to the configured names, and cut off once decided.

One question, in vLLM's words: the assistant's turn is prefilled with `{"route": "` (`continue_final_message`), the rest
constrained to the names and `other` (`structured_outputs.choice`) in the tokens that the tokenizer spells them with
(`allowed_token_ids`), greedy (`temperature` 0), and `max_tokens` is what usually decides (`routing.choices`). If the
text then still fits two names, the same question is asked again in full: with greedy decoding and a cached prompt this
costs little, and the answer is exactly the full one.

The choice alone would let the model spell a name letter by letter, which trained weights rarely do and unsure ones
sometimes: the first letter of two names decides nothing, and is likelier than it should be.

`stop_token_ids` would seem to fit, but vLLM 0.32 hands them to the grammar as ends of the answer and fails; `stop`
takes at most four strings.
Docs: https://docs.vllm.ai/en/latest/features/structured_outputs.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from router_service.classify.backend import Verdict, only_choice, unless_lacking
from router_service.classify.facts import Facts
from router_service.classify.model_server import Choice, Failure, ModelServer, ServedModel, ServerFailed, Tokens
from router_service.routing.answer import OTHER, Answer, parse_answer
from router_service.routing.choices import (
    Step,
    deciding_depths,
    first_guess,
    longest_answer_tokens,
    never_stuck,
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
# vLLM's bounds on lists of tokens: `logprob_token_ids` beyond it are refused, `allowed_token_ids` fail in its sampler.
_MOST_LOGPROB_TOKENS = 128
_MOST_ALLOWED_TOKENS = 1024


# What is known of a server that has not been probed.
_UNKNOWN = Facts(served=(), serves_model=True)


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
        facts = facts or _UNKNOWN
        guess = facts.first_guess_tokens
        decoded = 0
        text = ""
        bounds = (self._bound,) if guess is None or guess >= self._bound else (guess, self._bound)
        for number, max_tokens in enumerate(bounds, start=1):
            completion = await server.complete(self._question(prompt, max_tokens, facts))
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
        special = await unless_lacking(server.tokenize(self._model, "\n".join(sorted(SPECIAL_TOKENS))))
        spelled = await self._spell(server)
        facts, choice = await self._find_way(
            server,
            prompt,
            Facts(
                served=served,
                serves_model=True,
                version=await unless_lacking(server.version()),
                max_model_tokens=model.max_model_len,
                special_tokens=frozenset(_special_tokens(special)),
                allowed_token_ids=_allowed_token_ids(spelled, special),
                weighs=True,
            ),
        )
        decided = self._decided(choice)
        if decided is None:
            return replace(facts, weighs=False)
        return replace(
            facts,
            first_guess_tokens=_first_guess(spelled),
            constrained=True,
            weighs=facts.weighs and weigh(_steps(choice), decided, self._choices) is not None,
        )

    async def _find_way(self, server: ModelServer, prompt: str, facts: Facts) -> tuple[Facts, Choice]:
        """The best way of asking that the server takes, and the whole answer it gives then."""
        if facts.allowed_token_ids:
            try:
                choice = await self._ask_whole(server, prompt, facts)
                if self._decided(choice) is not None:
                    return facts, choice
            except ServerFailed as failed:
                # A server that runs out of allowed tokens, as where the end of a turn is none we know, answers 500.
                if failed.failure not in {Failure.REJECTED, Failure.STATUS}:
                    raise
            facts = replace(facts, allowed_token_ids=())
        try:
            return facts, await self._ask_whole(server, prompt, facts)
        except ServerFailed as failed:
            if failed.failure is not Failure.REJECTED:
                raise
        facts = replace(facts, weighs=False)  # a server whose --max-logprobs is smaller refuses the question
        return facts, await self._ask_whole(server, prompt, facts)

    async def _ask_whole(self, server: ModelServer, prompt: str, facts: Facts) -> Choice:
        return only_choice(await server.complete(self._question(prompt, self._bound, facts)))

    async def _spell(self, server: ModelServer) -> Mapping[str, Tokens] | None:
        """Each choice in the server's tokens, by name; None if it does not tell them."""
        spelled: dict[str, Tokens] = {}
        for name, text in self._choices.items():
            tokens = await unless_lacking(server.tokenize(self._model, text))
            if tokens is None:
                return None
            spelled[name] = tokens
        return spelled

    def _decided(self, choice: Choice) -> str | None:
        """The one name that an answer fits."""
        open_names = remaining(choice.message.content or "", self._choices)
        return open_names[0] if len(open_names) == 1 else None

    def _answer(self, name: str) -> Answer:
        if name == OTHER and name not in self._names:
            return Answer(Reason.NO_ROUTE)
        return Answer(Reason.MATCHED, name)

    def _question(self, prompt: str, max_tokens: int, facts: Facts) -> dict[str, object]:
        question: dict[str, object] = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": self._prefill}],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "structured_outputs": {"choice": list(self._choices.values())},
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        if facts.allowed_token_ids:
            question["allowed_token_ids"] = facts.allowed_token_ids
        if facts.weighs:
            question |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
            if 0 < len(facts.allowed_token_ids) <= _MOST_LOGPROB_TOKENS:
                question["logprob_token_ids"] = facts.allowed_token_ids  # all the branches, not the likeliest 20
        return question


def _special_tokens(special: Tokens | None) -> Mapping[str, int | None]:
    """Those we know of which the tokenizer has, and their numbers; all we know if it cannot be asked."""
    if special is None or special.token_strs is None:
        return dict.fromkeys(SPECIAL_TOKENS)
    numbered = zip(special.token_strs, special.tokens, strict=False)
    return {text: number for text, number in numbered if text in SPECIAL_TOKENS}


def _allowed_token_ids(spelled: Mapping[str, Tokens] | None, special: Tokens | None) -> tuple[int, ...]:
    """What an answer may be written with. Any special token may be the one that ends it; no choice holds one."""
    pieces = [tokens.token_strs for tokens in spelled.values() if tokens.token_strs] if spelled else []
    if spelled is None or len(pieces) < len(spelled) or not never_stuck(pieces):
        return ()
    ends = {number for number in _special_tokens(special).values() if number is not None}
    allowed = sorted(ends.union(*(tokens.tokens for tokens in spelled.values())))
    return tuple(allowed) if ends and len(allowed) <= _MOST_ALLOWED_TOKENS else ()


def _first_guess(spelled: Mapping[str, Tokens] | None) -> int | None:
    if spelled is None:
        return None
    return first_guess(deciding_depths({name: tokens.tokens for name, tokens in spelled.items()}).values())


def _steps(choice: Choice) -> list[Step]:
    tokens = (choice.logprobs.content if choice.logprobs else None) or []
    return [Step(token.token, tuple((top.token, top.logprob) for top in token.top_logprobs)) for token in tokens]
