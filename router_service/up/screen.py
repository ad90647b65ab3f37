"""What the person in front of `router-service up` reads: what runs, how to try it, what went wrong. Pure text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from router_service.config.providers import endpoint
from router_service.config.service import TcpAddress
from router_service.errors import RequestError
from router_service.routing.catalog import Catalog, Preference
from router_service.routing.resolve import Named, resolve
from router_service.telemetry.console import Paint, Style
from router_service.up.arrange import Arrangement, Missing

NAME_COLUMNS = 12  # "azure_openai"


@dataclass(frozen=True, slots=True)
class Running:
    """What there is to tell once everything answers."""

    listener: TcpAddress
    admin: TcpAddress
    envoy_admin: TcpAddress
    envoy_log: Path


def provider_lines(arrangement: Arrangement, paint: Paint) -> list[str]:
    """What each provider is today, and what leaving some out did to the rest of the file."""
    stand_ins = {missing.provider: missing for missing in arrangement.stand_ins}
    lines = []
    for entry in arrangement.config.model_providers:
        if entry.provider in stand_ins:
            missing = stand_ins[entry.provider]
            what = f"{paint(Style.YELLOW, 'a local demo provider stands in')}: {_not_set(missing)}"
        else:
            what = endpoint(entry).authority
        line = f"  {entry.provider:<{NAME_COLUMNS}} {what}"
        if line not in lines:
            lines.append(line)
    lines += [
        f"  {missing.provider:<{NAME_COLUMNS}} {paint(Style.YELLOW, 'left out')}: {_not_set(missing)}"
        for missing in arrangement.left_out
    ]
    return lines + [f"  {'':<{NAME_COLUMNS}} {consequence}" for consequence in arrangement.consequences]


def _not_set(missing: Missing) -> str:
    if len(missing.variables) == 1:
        return f"{missing.variables[0]} is not set"
    return f"{' and '.join(missing.variables)} are not set"


def banner(running: Running, catalog: Catalog, paint: Paint) -> str:
    """Where everything is and one request per way of routing, ready to be pasted into another terminal."""
    places = {
        "requests": f"http://{running.listener}/v1",
        "metrics": f"http://{running.admin}/metrics",
        "health": f"http://{running.admin}/readyz?verbose",
        "Envoy": f"http://{running.envoy_admin}  (its admin; its log is {running.envoy_log})",
    }
    lines = [
        "",
        paint(Style.GREEN, "Ready."),
        "",
        *(f"  {name:<{NAME_COLUMNS}} {place}" for name, place in places.items()),
        "",
        "Try it from another terminal. The x-router-… headers of each response say why.",
        "",
    ]
    for title, request in requests(catalog):
        lines += [paint(Style.DIM, f"# {title}"), curl(running.listener, request), ""]
    lines += [paint(Style.DIM, "Decisions appear below. Ctrl-C stops everything."), ""]
    return "\n".join(lines)


def requests(catalog: Catalog) -> Iterator[tuple[str, dict[str, object]]]:
    """A title and a body for each way of routing that this configuration has."""
    model = next((model.name for model in catalog.models if not model.is_wildcard), None)
    if model is not None:
        yield "by model", {"model": model, "messages": _user("Hello!")}
    for alias in catalog.alias_names:
        target = _target(catalog, alias)
        if target is not None:
            yield f"by alias, here of {target}", {"model": alias, "messages": _user("Hello!")}
            break
    for preference in _two_that_differ(catalog.preferences):
        prompt = preference.examples[0] if preference.examples else preference.description
        yield f"by preference, here {preference.name}", {"model": "auto", "messages": _user(prompt)}


def curl(listener: TcpAddress, body: dict[str, object]) -> str:
    """A command for any POSIX shell."""
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -si http://{listener}/v1/chat/completions -H 'content-type: application/json' \\\n  -d {data}"


def last_lines(text: str, count: int = 20) -> str:
    """The end of a log, indented."""
    return "\n".join(f"  {line}" for line in text.splitlines()[-count:])


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _target(catalog: Catalog, alias: str) -> str | None:
    """The model an alias means; None if it means `auto` or nothing."""
    try:
        meaning = resolve(catalog, alias)
    except RequestError:
        return None
    return meaning.target.model if isinstance(meaning, Named) else None


def _two_that_differ(preferences: Sequence[Preference]) -> list[Preference]:
    """The first preference, and the first after it whose requests go to another model."""
    if not preferences:
        return []
    first = preferences[0]
    return [first, *(other for other in preferences if other.models[0] != first.models[0])][:2]
