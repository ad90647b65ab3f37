"""The file that `router-service fit` writes and `router.embedded.fit` names: what suits one configuration.

JSON, because programs write it. Owns its keys, and whether it still fits: settings were found for certain preferences,
and mean nothing for others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pydantic import Field, ValidationError

from router_service.config.models import RoutingPreference, Section


class Fitted(Section):
    """Units as in `routing.follow` and `routing.scoring`."""

    encoder: str = Field(description="The encoder whose scores these are.")
    preferences: str = Field(description="Fingerprint of the preferences.")
    threshold: float = Field(ge=-1, le=1, description="Score below which no preference fits.")
    margin: float = Field(ge=0, le=2, description="Lead over the second preference that excuses a lower score.")
    whole: float = Field(ge=0, le=1, description="Share of the whole description in a score.")
    best_parts: int = Field(ge=1, le=16, description="How many of a preference's best parts count.")
    hold: float = Field(ge=0, le=1000, description="Head start of the previous turn's route.")
    ending: float = Field(ge=0, le=1000, description="Lead of an ending over the best route.")
    offsets: dict[str, float] = Field(default_factory=dict, description="Added to the score, by preference.")
    cases: int = Field(ge=0, description="Labelled cases it was fitted on.")
    gain: float = Field(ge=-1, le=1, description="Accuracy gained on held-out folds.")
    gain_ci: tuple[float, float] = Field(description="95 % interval of the gain.")

    def to_json(self) -> str:
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n"


def read_fitted(raw: bytes) -> Fitted:
    """ValueError, in one line, for a file that is not one of ours."""
    try:
        return Fitted.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error


def fingerprint(preferences: Sequence[RoutingPreference]) -> str:
    """Of everything that the embedded classifier reads of the preferences."""
    read = [[each.name, each.description, *each.examples] for each in preferences]
    return hashlib.blake2b(json.dumps(read).encode(), digest_size=8).hexdigest()
