"""`check`'s advice on preferences: the encoder is loaded, and what it finds stands at its line of the file."""

from __future__ import annotations

from router_service.classify.embedded import thresholds
from router_service.classify.encoder import configured_encoder
from router_service.config.load import Loaded
from router_service.errors import Problem
from router_service.routing.guidance import advise
from router_service.routing.scoring import Embed


def load_embed(loaded: Loaded) -> Embed:
    """The encoder that the configuration names, or would fall back to. Raises SetupError."""
    return configured_encoder(loaded.config.router.embedded).embed


def measure(loaded: Loaded, embed: Embed) -> tuple[Problem, ...]:
    """Raises SetupError if the encoder fails."""
    found = advise(loaded.catalog.preferences, embed, thresholds=thresholds(loaded.config.router))
    return tuple(
        Problem(
            f"routing_preferences[{each.position}].description",
            each.what,
            each.todo,
            loaded.description_lines[each.position],
            severity="advice",
        )
        for each in found
    )
