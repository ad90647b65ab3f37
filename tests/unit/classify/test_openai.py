"""How any other server is asked: by schema while it takes one, freely after it refused."""

from __future__ import annotations

import pytest

from router_service.classify.facts import Facts
from router_service.classify.model_server import Completion, Failure, ServedModel, ServerFailed
from router_service.classify.openai import OpenAIBackend
from router_service.routing.answer import Answer
from router_service.routing.decision import Reason
from router_service.routing.prompt import LayoutName, load_layout
from router_service.routing.special_tokens import SPECIAL_TOKENS
from tests.unit.classify.fakes import FakeServer, completion

REJECTED = ServerFailed(Failure.REJECTED, "HTTP 400")
SERVED = (ServedModel("llama"),)
POETRY = completion('{"route": "poetry"}')


@pytest.fixture
def backend() -> OpenAIBackend:
    return OpenAIBackend("llama", ["code", "poetry"], load_layout(LayoutName.MODEL_CARD))


async def test_a_question_is_one_message_and_a_schema_of_the_names(backend: OpenAIBackend) -> None:
    server = FakeServer(completions=[POETRY])
    verdict = await backend.ask(server, None, "the prompt")
    assert verdict.answer == Answer(Reason.MATCHED, "poetry")
    (question,) = server.questions
    assert (question["model"], question["temperature"]) == ("llama", 0)
    assert question["messages"] == [{"role": "user", "content": "the prompt"}]
    assert question["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "route",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"route": {"type": "string", "enum": ["code", "poetry", "other"]}},
                "required": ["route"],
                "additionalProperties": False,
            },
        },
    }


async def test_a_server_that_refuses_the_schema_is_asked_freely_from_then_on(backend: OpenAIBackend) -> None:
    server = FakeServer(completions=[REJECTED, completion("{'route': 'code'}")])
    first = await backend.ask(server, None, "the prompt")
    second = await backend.ask(server, None, "the prompt")
    assert (first.answer, first.questions) == (Answer(Reason.MATCHED, "code"), 2)
    assert (second.answer, second.questions) == (Answer(Reason.MATCHED, "code"), 1)
    assert ["response_format" in question for question in server.questions] == [True, False, False]


async def test_a_question_refused_for_another_reason_leaves_the_schema_in_use(backend: OpenAIBackend) -> None:
    server = FakeServer(completions=[REJECTED, REJECTED, POETRY])
    with pytest.raises(ServerFailed):
        await backend.ask(server, None, "the prompt")
    await backend.ask(server, None, "the prompt")
    assert ["response_format" in question for question in server.questions] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        pytest.param("Poetry, I think.", Answer(Reason.MALFORMED), id="prose"),
        pytest.param('{"route": "cooking"}', Answer(Reason.UNKNOWN_ROUTE), id="a name of its own"),
        pytest.param('{"route": "other"}', Answer(Reason.NO_ROUTE), id="other"),
        pytest.param(None, Answer(Reason.MALFORMED), id="no content"),
    ],
)
async def test_every_answer_goes_through_the_parser(backend: OpenAIBackend, text: str | None, answer: Answer) -> None:
    assert (await backend.ask(FakeServer(completions=[completion(text)]), None, "p")).answer == answer


@pytest.mark.parametrize(
    ("served", "completions", "facts"),
    [
        pytest.param(
            SERVED,
            [POETRY],
            Facts(SERVED, serves_model=True, special_tokens=SPECIAL_TOKENS, constrained=True),
            id="takes a schema",
        ),
        pytest.param(
            (),
            [REJECTED, POETRY],
            Facts((), serves_model=True, special_tokens=SPECIAL_TOKENS, constrained=False),
            id="lists nothing, takes no schema",
        ),
        pytest.param(
            SERVED,
            [completion("prose")],
            Facts(SERVED, serves_model=True, special_tokens=SPECIAL_TOKENS, constrained=False),
            id="takes a schema and ignores it",
        ),
        pytest.param(
            (ServedModel("mistral"),),
            [],
            Facts((ServedModel("mistral"),), serves_model=False),
            id="serves another model",
        ),
    ],
)
async def test_a_probe_finds_out_whether_answers_are_held_to_the_names(
    backend: OpenAIBackend, served: tuple[ServedModel, ...], completions: list[Completion | ServerFailed], facts: Facts
) -> None:
    assert await backend.probe(FakeServer(completions=completions), served, "hello") == facts
