from __future__ import annotations

import json
import re
from typing import Any

import pytest

from router_service.dataplane.local_replies import EDGE_REPLIES, MODEL_REPLIES, LocalReply, local_reply_config
from router_service.dataplane.protojson import to_json
from router_service.errors import BodyTooLarge, RouterUnavailable, UnknownPath
from router_service.extproc.replies import ANTHROPIC, OPENAI, Shape, error_body
from tests.unit.dataplane.rendered import at

EVERY = (*EDGE_REPLIES, *MODEL_REPLIES)
ERRORS = {error.code: error.status for error in (BodyTooLarge, RouterUnavailable, UnknownPath)}


def mappers(*replies: LocalReply, to_anthropic: bool = True) -> Any:
    return at(to_json(local_reply_config(replies, to_anthropic=to_anthropic)), "mappers")


@pytest.mark.parametrize(("position", "shape"), [(1, ANTHROPIC), (2, OPENAI)], ids=["to Anthropic's", "to OpenAI's"])
@pytest.mark.parametrize("reply", EVERY, ids=lambda reply: reply.message)
def test_a_reply_is_for_people_and_has_the_shape_that_the_service_gives_its_own(
    reply: LocalReply, position: int, shape: Shape
) -> None:
    mapper = mappers(reply)[position]
    assert mapper["status_code"] == reply.status
    body = at(mapper, "body_format_override", "text_format_source", "inline_string")
    document = json.loads(body.replace("%%", "%"))
    own = json.loads(error_body(BodyTooLarge("x"), shape))
    assert (set(document), set(document["error"])) == (set(own), set(own["error"]))
    assert f'"{reply.code}"' in body
    assert "envoy" not in reply.message.lower()
    assert re.search(r"%[^%]", body.replace("%%", "")) is None  # no operator: details may hold quotes
    assert mapper["body_format_override"]["content_type"] == "application/json"


@pytest.mark.parametrize("reply", [reply for reply in EVERY if reply.code in ERRORS], ids=lambda reply: reply.message)
def test_a_code_that_the_service_uses_too_has_the_same_status(reply: LocalReply) -> None:
    assert ERRORS[reply.code] == reply.status


def test_a_listener_without_anthropics_clients_has_one_reply_a_cause() -> None:
    assert len(mappers(*EVERY, to_anthropic=False)) == 1 + len(EVERY)
    assert len(mappers(*EVERY)) == 1 + 2 * len(EVERY)


def test_what_the_service_answers_is_left_alone() -> None:
    first = mappers(*EVERY)[0]
    assert set(first) == {"filter"}
    expression = at(first, "filter", "extension_filter", "typed_config", "expression")
    assert expression == 'response.code_details.startsWith("router_")'
