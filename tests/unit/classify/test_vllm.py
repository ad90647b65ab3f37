"""How Arch-Router on vLLM is asked, when the answer counts as decided, and what a probe finds out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from router_service.classify.facts import Facts
from router_service.classify.model_server import Completion, Failure, ServedModel, ServerFailed
from router_service.classify.vllm import VllmBackend
from router_service.routing.answer import Answer
from router_service.routing.decision import Reason
from router_service.routing.prompt import LayoutName, load_layout
from router_service.routing.special_tokens import SPECIAL_TOKENS
from tests.unit.classify.fakes import SERVED, FakeServer, completion, unreachable

BACKEND = VllmBackend("Arch-Router", ["code", "code review", "poetry"], load_layout(LayoutName.MODEL_CARD))
CHOICES = ['code"', 'code review"', 'poetry"', 'other"']
BOUND = len('code review"') + 1
FACTS = Facts(
    SERVED, serves_model=True, first_guess_tokens=2, allowed_token_ids=(0, 3, 5), constrained=True, weighs=True
)
LACKING = ServerFailed(Failure.STATUS, "HTTP 404")
REJECTED = ServerFailed(Failure.REJECTED, "HTTP 400")


async def test_the_answer_is_begun_constrained_and_cut_off_where_it_is_usually_decided() -> None:
    server = FakeServer(completions=[completion("po")])
    await BACKEND.ask(server, FACTS, "the prompt")
    assert server.questions == [
        {
            "model": "Arch-Router",
            "messages": [{"role": "user", "content": "the prompt"}, {"role": "assistant", "content": '{"route": "'}],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "structured_outputs": {"choice": CHOICES},
            "temperature": 0,
            "allowed_token_ids": (0, 3, 5),
            "max_tokens": 2,
            "logprobs": True,
            "top_logprobs": 20,
            "logprob_token_ids": (0, 3, 5),
        }
    ]


async def test_more_tokens_than_vllm_weighs_are_still_all_that_an_answer_may_hold() -> None:
    server = FakeServer(completions=[completion("po")])
    await BACKEND.ask(server, replace(FACTS, allowed_token_ids=tuple(range(129))), "the prompt")
    (question,) = server.questions
    assert question["allowed_token_ids"] == tuple(range(129))
    assert (question["top_logprobs"], "logprob_token_ids" in question) == (20, False)


@pytest.mark.parametrize(
    ("texts", "answer", "limits"),
    [
        pytest.param(["po"], Answer(Reason.MATCHED, "poetry"), [2], id="decided at once"),
        pytest.param(['code"'], Answer(Reason.MATCHED, "code"), [2], id="by the closing quote"),
        pytest.param(["oth"], Answer(Reason.NO_ROUTE), [2], id="other"),
        pytest.param(["code", 'code review"'], Answer(Reason.MATCHED, "code review"), [2, BOUND], id="asked in full"),
        pytest.param(["", 'poetry"'], Answer(Reason.MATCHED, "poetry"), [2, BOUND], id="half a character"),
        pytest.param(["code", "code"], Answer(Reason.MALFORMED), [2, BOUND], id="never decided"),
        pytest.param(
            ['Code_Review"}'], Answer(Reason.MATCHED, "code review"), [2], id="a server that constrains nothing"
        ),
        pytest.param(["prose"], Answer(Reason.MALFORMED), [2], id="prose"),
        pytest.param(['poem"}'], Answer(Reason.UNKNOWN_ROUTE), [2], id="a name of its own"),
    ],
)
async def test_the_text_decides_and_while_it_fits_two_names_the_question_is_asked_in_full(
    texts: list[str], answer: Answer, limits: list[int]
) -> None:
    server = FakeServer(completions=[completion(text, tokens=2) for text in texts])
    verdict = await BACKEND.ask(server, FACTS, "the prompt")
    assert verdict.answer == answer
    assert [question["max_tokens"] for question in server.questions] == limits
    assert (verdict.questions, verdict.decoded_tokens) == (len(texts), 2 * len(texts))


@pytest.mark.parametrize("facts", [None, Facts(SERVED, serves_model=True)], ids=["not probed", "no tokenizer"])
async def test_without_a_guess_the_answer_is_decoded_whole(facts: Facts | None) -> None:
    server = FakeServer(completions=[completion('poetry"')])
    verdict = await BACKEND.ask(server, facts, "the prompt")
    assert verdict.answer == Answer(Reason.MATCHED, "poetry")
    assert [question["max_tokens"] for question in server.questions] == [BOUND]


async def test_the_weights_are_the_branches_shares() -> None:
    step = {"po": math.log(0.6), "co": math.log(0.2), "o": math.log(0.2), "zz": math.log(0.5)}
    verdict = await BACKEND.ask(FakeServer(completions=[completion("po", step)]), FACTS, "the prompt")
    assert verdict.weights is not None
    assert {name: round(weight, 6) for name, weight in verdict.weights.items()} == {
        "code": 0.1,
        "code review": 0.1,
        "poetry": 0.6,
        "other": 0.2,
    }


async def test_no_choices_is_unreadable() -> None:
    with pytest.raises(ServerFailed) as caught:
        await BACKEND.ask(FakeServer(completions=[Completion([])]), FACTS, "the prompt")
    assert caught.value.failure is Failure.UNREADABLE


async def test_a_preference_called_other_is_a_preference() -> None:
    backend = VllmBackend("Arch-Router", ["code", "other"], load_layout(LayoutName.COMPACT))
    verdict = await backend.ask(FakeServer(completions=[completion("o")]), FACTS, "the prompt")
    assert verdict.answer == Answer(Reason.MATCHED, "other")


TOKENS = {
    'code"': ["code", '"'],
    'code review"': ["code", " review", '"'],
    'poetry"': ["po", "etry", '"'],
    'other"': ["other", '"'],
}
ENDS = ["<|im_end|>"]
SURE = completion('poetry"', {"po": -0.1, "co": -3.0})


async def test_a_probe_finds_out_everything_about_vllm() -> None:
    server = FakeServer(completions=[SURE], tokens=TOKENS, special_tokens=["<|im_end|>", "po", "Ġ"])
    assert await BACKEND.probe(server, SERVED, "hello") == Facts(
        served=SERVED,
        serves_model=True,
        version="0.32.0",
        max_model_tokens=16384,
        special_tokens=frozenset({"<|im_end|>"}),
        first_guess_tokens=2,
        allowed_token_ids=(0, 1, 3, 4, 5, 6, 7),  # all but Ġ
        constrained=True,
        weighs=True,
    )


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(REJECTED, id="it says so"),
        pytest.param(ServerFailed(Failure.STATUS, "HTTP 500"), id="it runs out of tokens"),
        pytest.param(completion("codeother"), id="it writes no name then"),
    ],
)
async def test_a_server_that_cannot_be_held_to_the_tokenizers_spelling_is_held_to_the_names(
    refusal: Completion | ServerFailed,
) -> None:
    server = FakeServer(completions=[refusal, SURE], tokens=TOKENS, special_tokens=ENDS)
    facts = await BACKEND.probe(server, SERVED, "hello")
    assert (facts.allowed_token_ids, facts.constrained, facts.weighs) == ((), True, True)
    assert "allowed_token_ids" in server.questions[0]
    assert "allowed_token_ids" not in server.questions[1]


@pytest.mark.parametrize(
    ("tokens", "special_tokens"),
    [
        pytest.param(TOKENS, [], id="how a turn ends is not known"),
        pytest.param({**TOKENS, 'code"': ["e-mail", '"'], 'poetry"': ["mail", "e", '"']}, ENDS, id="no way on from e"),
        pytest.param({**TOKENS, 'poetry"': [f"{number}" for number in range(1024)]}, ENDS, id="too many for vLLM"),
    ],
)
async def test_a_spelling_that_could_not_be_ended_is_not_asked_for(
    tokens: dict[str, list[str]], special_tokens: list[str]
) -> None:
    server = FakeServer(completions=[SURE], tokens=tokens, special_tokens=special_tokens)
    facts = await BACKEND.probe(server, SERVED, "hello")
    assert facts.allowed_token_ids == ()
    assert facts.first_guess_tokens is not None


async def test_a_server_without_the_model_is_not_asked_further() -> None:
    server = FakeServer()
    other = (ServedModel("another"),)
    assert await BACKEND.probe(server, other, "hello") == Facts(served=other, serves_model=False)
    assert server.questions == []


async def test_a_server_without_a_tokenizer_is_asked_whole_questions_without_any_special_token() -> None:
    facts = await BACKEND.probe(FakeServer(completions=[SURE], tokens=LACKING, version=LACKING), SERVED, "hello")
    assert (facts.first_guess_tokens, facts.special_tokens, facts.version) == (None, SPECIAL_TOKENS, None)
    assert facts.constrained


async def test_a_server_that_refuses_so_many_log_probabilities_is_asked_without() -> None:
    server = FakeServer(completions=[REJECTED, completion('poetry"')], tokens=TOKENS)
    facts = await BACKEND.probe(server, SERVED, "hello")
    assert (facts.constrained, facts.weighs) == (True, False)
    await BACKEND.ask(server, facts, "the prompt")
    assert not {"logprobs", "top_logprobs"} & set(server.questions[-1])


async def test_a_server_that_constrains_nothing_is_asked_whole_questions() -> None:
    facts = await BACKEND.probe(FakeServer(completions=[completion("Sure, ")], tokens=TOKENS), SERVED, "hello")
    assert (facts.constrained, facts.weighs, facts.first_guess_tokens) == (False, False, None)


@pytest.mark.parametrize("failure", [unreachable(), ServerFailed(Failure.STATUS, "HTTP 500")])
async def test_a_server_that_cannot_answer_the_probes_question_is_not_found(failure: ServerFailed) -> None:
    with pytest.raises(ServerFailed):
        await BACKEND.probe(FakeServer(completions=[failure]), SERVED, "hello")


async def test_a_connection_lost_in_the_middle_of_a_probe_is_no_missing_capability() -> None:
    with pytest.raises(ServerFailed):
        await BACKEND.probe(FakeServer(completions=[SURE], tokens=unreachable()), SERVED, "hello")
