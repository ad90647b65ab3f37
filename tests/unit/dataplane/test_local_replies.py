from __future__ import annotations

import json
import re

import pytest

from router_service.dataplane.local_replies import EDGE_REPLIES, MODEL_REPLIES, LocalReply, local_reply_config
from router_service.dataplane.protojson import to_json
from router_service.errors import BodyTooLarge, RouterUnavailable, UnknownPath
from router_service.extproc.replies import error_body
from tests.unit.dataplane.rendered import at

EVERY = (*EDGE_REPLIES, *MODEL_REPLIES)
ERRORS = {error.code: error.status for error in (BodyTooLarge, RouterUnavailable, UnknownPath)}


@pytest.mark.parametrize("reply", EVERY, ids=lambda reply: reply.message)
def test_a_reply_is_for_people_and_has_the_shape_that_the_service_gives_its_own(reply: LocalReply) -> None:
    mapper = at(to_json(local_reply_config([reply])), "mappers", 1)
    assert mapper["status_code"] == reply.status
    body = at(mapper, "body_format_override", "text_format_source", "inline_string")
    document = json.loads(body.replace("%%", "%"))
    assert set(document["error"]) == set(json.loads(error_body(BodyTooLarge("x")))["error"])
    assert document["error"]["code"] == reply.code
    assert document["error"]["type"] == ("server_error" if reply.status >= 500 else "invalid_request_error")
    assert "envoy" not in reply.message.lower()
    assert re.search(r"%[^%]", body.replace("%%", "")) is None  # no operator: details may hold quotes
    assert mapper["body_format_override"]["content_type"] == "application/json"


@pytest.mark.parametrize("reply", [reply for reply in EVERY if reply.code in ERRORS], ids=lambda reply: reply.message)
def test_a_code_that_the_service_uses_too_has_the_same_status(reply: LocalReply) -> None:
    assert ERRORS[reply.code] == reply.status


def test_what_the_service_answers_is_left_alone() -> None:
    mappers = at(to_json(local_reply_config(EVERY)), "mappers")
    assert set(mappers[0]) == {"filter"}
    expression = at(mappers[0], "filter", "extension_filter", "typed_config", "expression")
    assert expression == 'response.code_details.startsWith("router_")'
