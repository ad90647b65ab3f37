"""Asking any OpenAI-compatible server: by JSON schema where it takes one, else free decoding and the strict parser.

Spec: https://platform.openai.com/docs/guides/structured-outputs. Whether a server takes `response_format` is found out
once, by the start-up probe or by the first question it refuses. One that takes it without honouring it does no harm:
every answer goes through `routing.answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from router_service.classify.backend import Verdict, only_choice
from router_service.classify.facts import Facts
from router_service.classify.model_server import Failure, ModelServer, ServedModel, ServerFailed
from router_service.routing.answer import OTHER, parse_answer
from router_service.routing.choices import longest_answer_tokens, prefill, spell_choices
from router_service.routing.decision import ANSWERED
from router_service.routing.prompt import Layout
from router_service.routing.special_tokens import SPECIAL_TOKENS

# What an answer may hold beside the name: the object around it, a code block's fences, white space.
_AROUND_A_NAME_TOKENS = 48


class OpenAIBackend:
    """Questions for one configuration's preferences."""

    name = "openai"

    def __init__(self, model: str, names: Sequence[str], layout: Layout) -> None:
        self._model = model
        self._names = tuple(names)
        choices = spell_choices(names, layout)
        self._bound = longest_answer_tokens(choices) + len(prefill(layout)) + _AROUND_A_NAME_TOKENS
        self._response_format = {
            "type": "json_schema",
            "json_schema": {
                "name": "route",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"route": {"type": "string", "enum": list(dict.fromkeys((*names, OTHER)))}},
                    "required": ["route"],
                    "additionalProperties": False,
                },
            },
        }
        self._takes_schema = True  # until a server refuses

    async def ask(self, server: ModelServer, facts: Facts | None, prompt: str) -> Verdict:
        if not self._takes_schema:
            return await self._ask(server, prompt, schema=False)
        try:
            return await self._ask(server, prompt, schema=True)
        except ServerFailed as failed:
            if failed.failure is not Failure.REJECTED:
                raise
        verdict = await self._ask(server, prompt, schema=False)
        self._takes_schema = False
        return replace(verdict, questions=2)

    async def probe(self, server: ModelServer, served: tuple[ServedModel, ...], prompt: str) -> Facts:
        if served and all(model.id != self._model for model in served):
            return Facts(served=served, serves_model=False)
        verdict = await self.ask(server, None, prompt)
        return Facts(
            served=served,
            serves_model=True,
            special_tokens=SPECIAL_TOKENS,
            constrained=self._takes_schema and verdict.answer.reason in ANSWERED,
        )

    async def _ask(self, server: ModelServer, prompt: str, *, schema: bool) -> Verdict:
        completion = await server.complete(
            {
                "model": self._model,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": self._bound,
                **({"response_format": self._response_format} if schema else {}),
            }
        )
        text = only_choice(completion).message.content or ""
        decoded = completion.usage.completion_tokens if completion.usage else 0
        return Verdict(parse_answer(text, self._names), decoded_tokens=decoded)
