"""The embedded classifier: its answers with the built-in model, and how it behaves while the encoder is busy."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from router_service.classify import Classifier
from router_service.classify.embedded import EmbeddedClassifier, EncodedCache, TextEncoder, thresholds
from router_service.classify.encoder import Encoder
from router_service.config.models import Embedded, Router
from router_service.errors import SetupError
from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Context, Reason
from router_service.routing.scoring import Encoded, Thresholds

PREFERENCES = (
    Preference(
        "code generation",
        "generating new code snippets, functions, or boilerplate based on user prompts",
        (),
        examples=(
            "write a Python function that parses a date",
            "implement a queue in Java",
            "create a React component for a sign-up form",
        ),
    ),
    Preference(
        "creative writing",
        "creative content generation, storytelling, and writing assistance",
        (),
        examples=("write a poem about winter", "tell me a short story"),
    ),
    Preference(
        "complex reasoning",
        "deep analysis, mathematical problem solving, and logical reasoning",
        (),
        examples=("prove that there are infinitely many primes", "what is the probability of drawing two aces?"),
    ),
)


def said(*texts: str) -> Conversation:
    return Conversation(tuple(Turn("user", text) for text in texts))


def classifier(encoder: TextEncoder, **router: object) -> EmbeddedClassifier:
    return EmbeddedClassifier(PREFERENCES, encoder, Router.model_validate(router))


# --- answers of the built-in model ---


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("Write a poem about autumn.", "creative writing"),
        ("please compose a short haiku on the sea", "creative writing"),
        ("I need a bedtime story with a dragon in it", "creative writing"),
        ("Escribe un poema sobre el otoño", "creative writing"),
        ("Écris un poème sur l'automne", "creative writing"),
        ("Write a Python function that sorts a list of tuples by the second element", "code generation"),
        ("implement quicksort in Rust", "code generation"),
        ("write a Java method that parses JSON", "code generation"),
        ("Escribe una función en Python que ordene una lista", "code generation"),
        ("Solve 3x + 5 = 20 and show every step", "complex reasoning"),
        ("What is the probability of throwing two sixes?", "complex reasoning"),
    ],
)
async def test_requests_find_the_preference_they_are_about(encoder: Encoder, text: str, route: str) -> None:
    classification = await classifier(encoder).classify(said(text))
    assert (classification.reason, classification.route) == (Reason.MATCHED, route)


@pytest.mark.parametrize("text", ["how do I boil an egg", "who won the world cup in 2010", "yes, that works"])
async def test_what_fits_no_preference_is_no_route(encoder: Encoder, text: str) -> None:
    classification = await classifier(encoder).classify(said(text))
    assert (classification.reason, classification.route) == (Reason.NO_ROUTE, None)
    assert list(classification.scores) == [preference.name for preference in PREFERENCES]


async def test_an_answer_explains_itself_with_scores_in_configuration_order(encoder: Encoder) -> None:
    classification = await classifier(encoder).classify(said("write a poem"))
    assert list(classification.scores) == ["code generation", "creative writing", "complex reasoning"]
    assert max(classification.scores.items(), key=lambda item: item[1])[0] == classification.route == "creative writing"
    assert classification.confidence is not None
    assert classification.confidence > 0.9
    assert classification.backend == "embedded"


async def test_a_pasted_document_does_not_hide_the_request(encoder: Encoder) -> None:
    poem = f"Write a poem in the manner of these words:\n{'lorem ipsum dolor sit amet ' * 60_000}\nWrite a poem!"
    assert (await classifier(encoder).classify(said(poem))).route == "creative writing"


async def test_a_turn_without_a_topic_goes_where_the_conversation_is(encoder: Encoder) -> None:
    asked = classifier(encoder)
    poem = await asked.classify(said("Write a poem about autumn.", "yes, that works"))
    assert poem.context is not None
    assert (poem.route, poem.context.previous, poem.context.ended) == ("creative writing", "creative writing", False)
    assert 0.33 < poem.context.head_start < 0.353
    function = "now a Python function that reverses a list"
    assert (await asked.classify(said("Write a poem about autumn.", "nice", function))).route == "code generation"


async def test_a_conversation_can_end(encoder: Encoder) -> None:
    ended = await classifier(encoder).classify(said("Write a poem about autumn.", "no, that's all, thank you"))
    assert (ended.reason, ended.context) == (Reason.NO_ROUTE, Context("creative writing", ended=True))


# --- when there is nothing to ask, or nothing sure to say ---


@dataclass
class Compass:
    """Encodes by looking for words; counts what it was asked."""

    name: str = "compass"
    seen: list[str] = field(default_factory=list)

    def encode(self, text: str) -> Encoded:
        self.seen.append(text)
        direction = np.array(["code" in text, "writing" in text or "poem" in text, "solve" in text, 0.1], np.float32)
        return Encoded(np.asarray(direction / np.linalg.norm(direction), dtype=np.float32))


async def test_without_preferences_nothing_is_encoded() -> None:
    compass = Compass()
    asked: Classifier = EmbeddedClassifier((), compass, Router())
    assert await asked.classify(said("hi")) == Classification(Reason.NO_PREFERENCES, backend="embedded")
    assert compass.seen == []


async def test_without_text_nothing_is_asked() -> None:
    conversation = Conversation((Turn("assistant", "hello"), Turn("user", "\n")))
    assert await classifier(Compass()).classify(conversation) == Classification(Reason.NO_TEXT, backend="embedded")


async def test_min_confidence_sends_unsure_answers_to_the_default_model() -> None:
    sure, unsure = said("a poem"), said("a poem with code")
    strict = classifier(Compass(), min_confidence=0.6)
    assert (await strict.classify(sure)).reason is Reason.MATCHED
    classification = await strict.classify(unsure)
    assert (classification.reason, classification.route) == (Reason.LOW_CONFIDENCE, None)
    assert classification.confidence is not None
    assert classification.confidence < 0.6


async def test_an_encoder_that_fails_is_a_reason_and_not_an_exception() -> None:
    class Failing(Compass):
        def encode(self, text: str) -> Encoded:
            if text == "a story":
                raise SetupError("out of memory")
            return super().encode(text)

    asked = classifier(Failing())
    assert (await asked.classify(said("a story"))).reason is Reason.CLASSIFIER_ERROR
    assert (await asked.classify(said("a poem"))).route == "creative writing"


def test_thresholds_of_the_configuration_replace_the_measured_ones() -> None:
    usual = Thresholds()
    assert thresholds(Router()) == usual
    configured = Router(min_confidence=0.4, embedded=Embedded(threshold=0, margin=0))
    assert thresholds(configured) == Thresholds(score=0, margin=0, confidence=0.4)


# --- texts seen before ---


async def test_preferences_are_encoded_once_and_a_repeated_turn_not_at_all() -> None:
    compass = Compass()
    asked = classifier(compass)
    configured = len(compass.seen)
    answers = [await asked.classify(said("first", "a poem")) for _ in range(3)]
    assert compass.seen[configured:] == ["first", "a poem"]
    assert len({(answer.route, answer.confidence) for answer in answers}) == 1


async def test_no_more_texts_are_remembered_than_configured() -> None:
    compass = Compass()
    asked = classifier(compass, embedded={"cache_entries": 2})
    configured = len(compass.seen)
    for text in ("one", "two", "one", "three", "one", "two"):  # "two" is the oldest when "three" comes
        await asked.classify(said(text))
    assert compass.seen[configured:] == ["one", "two", "three", "two"]


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_a_cache_never_outgrows_its_limit(limit: int) -> None:
    cache = EncodedCache(limit)
    for number in range(10):
        cache.put(f"text {number}", Encoded(np.array([number], np.float32)))
        assert len(cache) <= limit
    assert [number for number in range(10) if cache.get(f"text {number}") is not None] == list(range(10 - limit, 10))


# --- while the encoder is busy ---


class Held:
    """An encoder that answers a request when told to; what configures it is encoded at once."""

    name = "held"

    def __init__(self) -> None:
        self.held = False
        self.loop = asyncio.get_running_loop()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.released = threading.Semaphore(0)

    def encode(self, text: str) -> Encoded:
        if self.held:
            self.loop.call_soon_threadsafe(self.begun.put_nowait, text)
            self.released.acquire()
        return Compass().encode(text)


@pytest.fixture
async def held() -> Held:
    return Held()


async def test_the_event_loop_goes_on_while_a_text_is_encoded(held: Held) -> None:
    asked = classifier(held)
    held.held = True
    classification = asyncio.create_task(asked.classify(said("a poem")))
    assert await held.begun.get() == "a poem"  # arrives here, on the loop, while the encoder is still at it
    assert not classification.done()
    held.released.release()
    assert (await classification).route == "creative writing"


async def test_the_real_encoder_leaves_the_loop_its_turns(encoder: Encoder) -> None:
    # 250 words take tens of milliseconds; if the GIL were held meanwhile, the loop would get a handful of turns.
    asked = classifier(encoder)
    classification = asyncio.create_task(asked.classify(said("what is it about? " * 70)))
    turns = 0
    while not classification.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50


async def test_texts_are_encoded_one_at_a_time_in_the_order_asked(held: Held) -> None:
    asked = classifier(held)
    held.held = True
    tasks = [asyncio.create_task(asked.classify(said(text))) for text in ("one", "two")]
    assert await held.begun.get() == "one"
    assert held.begun.empty()
    held.released.release()
    assert await held.begun.get() == "two"
    held.released.release()
    await asyncio.gather(*tasks)


async def test_a_request_cancelled_while_it_waits_is_never_encoded(held: Held) -> None:
    asked = classifier(held)
    held.held = True
    first, second, third = (asyncio.create_task(asked.classify(said(text))) for text in ("one", "two", "three"))
    assert await held.begun.get() == "one"
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    held.released.release(2)
    assert await held.begun.get() == "three"
    await asyncio.gather(first, third)


async def test_a_request_cancelled_while_it_is_encoded_frees_the_caller_and_harms_nobody(held: Held) -> None:
    asked = classifier(held)
    held.held = True
    first, second = (asyncio.create_task(asked.classify(said(text))) for text in ("one", "a poem"))
    assert await held.begun.get() == "one"
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    held.released.release(2)
    assert (await second).route == "creative writing"


async def test_closing_lets_what_is_under_way_finish(held: Held) -> None:
    asked = classifier(held)
    held.held = True
    tasks = [asyncio.create_task(asked.classify(said(text))) for text in ("a poem", "code")]
    await held.begun.get()
    await asked.aclose()
    held.released.release(2)
    assert [answer.route for answer in await asyncio.gather(*tasks)] == ["creative writing", "code generation"]
