"""A configuration file, from its path to everything the service needs, or to every problem it has.

The only module of this package that reads files: the configuration, and what its `router.embedded.fit` and its
sources of prices name. The way: text → positioned tree (`document`) → newest shape (`migrate`) → typed values
(`validate`) → secrets (`environment`) → checks between sections (`references`, `addresses`, `selection` …) → catalogue
(`build`). Each step reports and goes on with what is left, so that one run shows every problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from router_service.config import addresses, environment, preferences, prompt_budget, references, selection
from router_service.config.build import build_catalog
from router_service.config.document import Node, parse
from router_service.config.fitted import Fitted, fingerprint, read_fitted
from router_service.config.migrate import migrate
from router_service.config.models import Config
from router_service.config.report import Report
from router_service.config.validate import validate
from router_service.errors import ConfigError, Problem
from router_service.routing.catalog import Catalog

MAX_FILE_BYTES = 2**20  # a hundred times the largest file we know; more is a mistaken path


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that can be used.

    `fitted` is what `router.embedded.fit` names; `description_lines` are those of the preferences' descriptions.
    `warnings` are in the order of the file. `missing` maps the key of an entry of `model_providers` to the environment
    variables that it names and that are not set; such an entry has no `access_key`.
    """

    config: Config
    catalog: Catalog
    warnings: tuple[Problem, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    fitted: Fitted | None = None
    description_lines: tuple[int, ...] = field(default=(), compare=False)  # an older shape has them elsewhere


def load(
    path: str | Path, environ: Mapping[str, str], *, provider_keys: bool = True, price_files: bool = True
) -> Loaded:
    """The file at `path`, with `$NAME` taken from `environ`. Raises ConfigError with every problem of the file.

    Without `provider_keys` those are never read: routing does not need them, Envoy has them. Without `price_files` a
    mistake in one is no reason to refuse: they are read while serving.
    """
    return loads(_read(Path(path)), environ, file=str(path), provider_keys=provider_keys, price_files=price_files)


def loads(
    text: str,
    environ: Mapping[str, str],
    *,
    file: str = "config",
    provider_keys: bool = True,
    price_files: bool = True,
) -> Loaded:
    """Like `load`, from the text itself; `file` names it in the problems, and says where files beside it are."""
    root, problems = parse(text)
    if root is None or root.value is None:
        todo = "write at least model_providers; examples/demo.yaml is a start"
        raise ConfigError(file, _in_order(problems or [Problem("", "the file is empty", todo)]))
    if not isinstance(root.value, Mapping):
        what = "the file is not a mapping of sections"
        problems.append(Problem("", what, "write `model_providers:` and its entries", root.line))
        raise ConfigError(file, _in_order(problems))
    root, found = migrate(root)
    secrets = environ if provider_keys else environment.Unread()
    return _loaded(root, [*problems, *found], environ, file, secrets, price_files=price_files)


def load_routes(path: str | Path) -> Loaded:
    """A file that holds only `routing_preferences`, to measure how well they route. Raises ConfigError.

    Their `models` may be missing and are not looked up: every preference gets one model that does not exist.
    """
    root, problems = parse(_read(Path(path)))
    if root is None or "routing_preferences" not in root.entries:
        todo = "write `routing_preferences:` and its entries, or name a whole configuration with --config"
        raise ConfigError(str(path), _in_order(problems or [Problem("", "the file has no routing_preferences", todo)]))
    for key, node in root.entries.items():
        if key != "routing_preferences":
            what = "is not read from a file of routes"
            problems.append(Problem(node.path, what, "remove it, or name the file with --config", node.line))
    return _loaded(_with_a_model(root.entries["routing_preferences"]), problems, {}, str(path), {}, price_files=False)


def _with_a_model(preferences: Node) -> Node:
    """A configuration around a list of preferences, which all name the one model it has, and so need no policy."""
    model = Node("openai/not-served", 0, "")
    models = Node((model,), 0, "")
    yes = Node(value=True, line=0, path="")
    provider = Node({"model": model, "default": yes, "passthrough_auth": yes}, 0, "")  # it needs no key
    value = preferences.value
    if isinstance(value, tuple):
        value = tuple(
            replace(entry, value={**_without_policy(entry), "models": models})
            if isinstance(entry.value, Mapping)
            else entry
            for entry in value
        )
    entries = {"model_providers": Node((provider,), 0, ""), "routing_preferences": replace(preferences, value=value)}
    return Node(entries, 0, "")


def _without_policy(preference: Node) -> Mapping[str, Node]:
    return {key: node for key, node in preference.entries.items() if key != "selection_policy"}


def _loaded(
    root: Node,
    problems: list[Problem],
    environ: Mapping[str, str],
    file: str,
    provider_environ: Mapping[str, str],
    *,
    price_files: bool,
) -> Loaded:
    """From a tree in the newest shape; `problems` are those found so far."""
    report = Report(root)
    validated = validate(root, report)
    problems = [*problems, *report.problems]
    if validated.config is None:
        raise ConfigError(file, _in_order(problems))
    report = Report(validated.root, validated.left_out)
    resolved = environment.resolve(validated.config, environ, report, provider_environ)
    references.check(resolved.config, report, models_known=validated.models_known, without_key=resolved.missing)
    preferences.check(validated.config, report)
    addresses.check(validated.config, report)
    prompt_budget.check(validated.config, report)
    fitted = _fitted(validated.config, Path(file).parent, report)
    config = selection.with_absolute_files(resolved.config, Path(file).parent)
    selection.check(config, report, _read if price_files else None)
    count = len(validated.config.routing_preferences)
    lines = tuple(report.line(("routing_preferences", index, "description")) for index in range(count))
    problems = _in_order([*problems, *report.problems])
    if any(problem.severity == "error" for problem in problems):
        raise ConfigError(file, problems)
    return Loaded(config, build_catalog(config), tuple(problems), resolved.missing, fitted, lines)


def _fitted(config: Config, folder: Path, report: Report) -> Fitted | None:
    """What `router.embedded.fit` names, None if it cannot be read."""
    name = config.router.embedded.fit
    if name is None:
        return None
    location = ("router", "embedded", "fit")
    again = "write it with `router-service fit`, or remove the key"
    try:
        with (folder / name).open("rb") as file:
            fitted = read_fitted(file.read(MAX_FILE_BYTES))
    except OSError as error:
        report.error(location, f"{name} cannot be read beside this file: {error.strerror}", again)
    except ValueError as error:
        report.error(location, f"{name} is not what fit writes: {error}", again)
    else:
        if fitted.preferences != fingerprint(config.routing_preferences):
            what = "was fitted for other preferences than these"
            report.warn(location, what, "run `router-service fit` again, or remove the key")
        return fitted
    return None


def _in_order(problems: list[Problem]) -> list[Problem]:
    """In the order of the file; a text from it can neither break a line nor steer the terminal."""
    printable = [
        replace(problem, path=_printable(problem.path), what=_printable(problem.what), todo=_printable(problem.todo))
        for problem in problems
    ]
    return sorted(printable, key=lambda problem: problem.line)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), [_unreadable(path, error)]) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(str(path), [Problem("", "the file is larger than 1 MiB", "is it the right one?")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [Problem("", "the file is not UTF-8 text", "save it as UTF-8", line)]) from error


def _unreadable(path: Path, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        near = sorted(str(other) for other in path.parent.glob("*.y*ml"))[:3] if path.parent.is_dir() else []
        return Problem(
            "",
            "there is no such file",
            f"is it {' or '.join(near)}?" if near else "check the path; it is relative to " + str(Path.cwd()),
        )
    if isinstance(error, IsADirectoryError):
        return Problem("", "is a directory", "name the file in it")
    return Problem("", f"cannot be read: {error.strerror}", "check its path and permissions")
