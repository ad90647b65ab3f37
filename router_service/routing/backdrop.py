"""What people say to an assistant whatever is configured: fixed texts that every turn is compared with.

Owns these texts and their vectors. None is from a data set, and none is more than an example of its kind: what counts
is whether a turn is nearer to them than to the preferences. What follows from that is `follow`'s to decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from router_service.routing.scoring import Embed, Routes, Vector

# What users say who begin with nothing to ask.
GREETINGS = (
    "hi",
    "hello there",
    "good morning",
    "hey, how are you?",
    "are you there?",
    "thanks a lot!",
    "thank you, that's all",
    "bye, see you",
    "hallo",
    "danke, das war's",
    "bonjour",
    "merci beaucoup",
    "hola",
    "muchas gracias",
    "ciao, grazie",
    "olá, obrigado",
    "hoi, bedankt",
    "cześć, dziękuję",
    "merhaba, teşekkürler",
    "привет",
    "спасибо",
    "مرحبا",
    "شكرا",
    "नमस्ते",
    "你好",
    "谢谢",
    "こんにちは",
    "ありがとう",
    "안녕하세요",
    "감사합니다",
)
# A preference that scores this for SMALL_TALK wants the greetings for itself. Measured: 0.65 to 0.76 for preferences
# that list chatting or greetings, at most 0.48 for others, "replies to customers" and "greeting cards" among them.
SMALL_TALK = "greetings and small talk"
WANTS_SMALL_TALK = 0.57
# What users say who are done, or decline what was offered.
ENDINGS = (
    "no thanks, nothing else",
    "no, that is all I need",
    "no, that's everything, thanks",
    "nothing else, I'm good",
    "no, I'm all set",
    "no, not now",
    "not right now, maybe later",
    "not yet, I'll think about it",
    "nein danke, das war alles",
    "non merci, c'est tout",
    "no gracias, eso es todo",
    "不用了，谢谢",  # noqa: RUF001 - a Chinese comma
)
# And what they say who go on, or thank for what they got without declining anything: with them, a short answer is not
# taken for an ending where every route is far from it.
CONTINUATIONS = (
    "yes",
    "no",
    "ok",
    "yes please, do that",
    "yes, that works",
    "sounds good, go ahead",
    "no, the other one",
    "no, I don't mind which",
    "make it shorter",
    "what about tomorrow?",
    "why is that?",
    "another one please",
    "that is wrong, try again",
    "thanks, that's all I need",
    "great, thank you, that is everything",
    "ja, bitte",
    "oui, parfait",
    "sí, por favor",
    "好的",
)

# Of the nearness to the nearest topic. 0.2 to 0.4 find texts of no route equally well.
TOPIC_SHARE = 0.25
# What people ask about. A turn that is near to one of them but not to any preference is of no route.
TOPICS = (
    "cooking and recipes",
    "restaurants and dining out",
    "travel and holidays",
    "flights and hotels",
    "weather",
    "sports results",
    "news and politics",
    "music to play",
    "films and series",
    "games",
    "shopping advice",
    "prices and product comparison",
    "clothes and fashion",
    "house repairs",
    "cleaning and stains",
    "gardening and plants",
    "pets and animals",
    "cars and driving",
    "public transport and routes",
    "health and illness",
    "fitness and diet",
    "mental health and feelings",
    "relationships and family",
    "children and parenting",
    "school and homework",
    "history",
    "geography",
    "science facts",
    "general knowledge",
    "philosophy and religion",
    "personal finance and banking",
    "taxes and insurance",
    "law and rights",
    "job applications and careers",
    "business and marketing",
    "writing e-mails and letters",
    "stories and poems",
    "translation between languages",
    "grammar and spelling",
    "summaries of texts",
    "mathematics",
    "statistics and data",
    "programming",
    "computers and devices",
    "phones and apps",
    "images and photos",
    "design and art",
    "calendar and reminders",
    "phone calls and messages",
    "smart home and lights",
    "jokes and small talk",
    "the assistant itself",
    "greetings and thanks",
    "gifts and celebrations",
    "hobbies and crafts",
    "astrology and fortune telling",
    "opinions and advice on life",
    "stock market",
    "real estate",
    "time, dates and units",
)


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The texts as vectors, each (texts, dimension). Made by `embed_backdrop`."""

    greetings: Vector  # none, (0, dimension), where a preference is for small talk
    endings: Vector
    continuations: Vector
    topics: Vector

    def greeting(self, vector: Vector) -> float:
        """How much a first turn sounds like one that asks for nothing; a language may have a single text here."""
        return float(np.vecdot(self.greetings, vector).max(initial=-math.inf))

    def ending(self, vector: Vector) -> float:
        """How much a turn sounds like an ending; minus infinity for one that sounds more like going on."""
        ending = _likeness(self.endings, vector)
        return ending if ending > _likeness(self.continuations, vector) else -math.inf

    def usual(self, vector: Vector) -> float:
        """What is taken from all scores of a text: it is that near to what people ask about anyway."""
        return TOPIC_SHARE * float(np.vecdot(self.topics, vector).max())


def _likeness(texts: Vector, vector: Vector) -> float:
    """The mean of the best two cosines, as for a preference's parts."""
    return float(np.sort(np.vecdot(texts, vector))[-2:].mean())


def embed_backdrop(embed: Embed, routes: Routes) -> Backdrop:
    """Encodes each text, 130 in all."""
    greetings, *others = (
        np.stack([embed(text) for text in texts]) for texts in (GREETINGS, ENDINGS, CONTINUATIONS, TOPICS)
    )
    if routes.scores(embed(SMALL_TALK)).max() > WANTS_SMALL_TALK:
        greetings = greetings[:0]
    return Backdrop(greetings, *others)
