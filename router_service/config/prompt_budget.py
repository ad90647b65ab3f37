"""Whether the preferences leave room for a conversation in the routing model's prompt (`limits.max_prompt_tokens`)."""

from __future__ import annotations

from router_service.config.models import Config
from router_service.config.report import Report
from router_service.routing.catalog import Preference
from router_service.routing.prompt import LayoutName, RoutesTooLong, frame_prompt, load_layout


def check(config: Config, report: Report) -> None:
    """Reports an error if a model server is to classify and its prompt would be full of preferences."""
    if config.router.backend == "embedded":
        return
    try:
        frame_prompt(
            [Preference(preference.name, preference.description, ()) for preference in config.routing_preferences],
            layout=load_layout(LayoutName(config.router.prompt)),
            max_turns=config.limits.max_turns,
            max_prompt_tokens=config.limits.max_prompt_tokens,
        )
    except RoutesTooLong as error:
        report.error(
            ("limits", "max_prompt_tokens"),
            f"is {config.limits.max_prompt_tokens}, but the prompt with its preferences needs {error.needed_tokens}",
            f"write {error.needed_tokens} or more, or shorten the descriptions",
        )
