"""The `router-service` command: one module a subcommand, imported only when it is called.

A subcommand's module has `add_arguments(parser)` and `run(args) -> int`. Exit codes: 0 done, 1 the answer is no,
2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from router_service import __version__
from router_service.errors import RouterError


class Command(Protocol):
    """What a subcommand's module offers."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A subcommand. Without help it is not shown: our own processes start it, nobody types it."""

    name: str
    help: str = ""
    example: str = ""

    @property
    def module(self) -> str:
        return f"router_service.cli.{self.name.replace('-', '_')}"


COMMANDS: tuple[Entry, ...] = (
    Entry("check", "Say everything that is wrong with a configuration file.", "router-service check config.yaml"),
    Entry(
        "schema", "Print the JSON Schema of the configuration file, for editors.", "router-service schema > schema.json"
    ),
    Entry(
        "up",
        "Run everything on this machine: the service, an Envoy, demo providers where no keys are set.",
        "router-service up examples/demo.yaml",
    ),
    Entry(
        "serve",
        "Run the service that Envoy calls: worker processes, metrics and health.",
        "router-service serve config.yaml --workers 4 --listen unix:/run/router/router.sock",
    ),
    Entry(
        "route",
        "Which model a request would get, and why; nothing is sent to a provider.",
        'router-service route examples/demo.yaml "Write a poem about rain"',
    ),
    Entry(
        "eval",
        "How well the routing preferences route: labelled cases in, figures and advice out.",
        "router-service eval cases.jsonl --config router.yaml --html report.html",
    ),
    Entry(
        "fit",
        "Thresholds and weights of the embedded classifier that suit these preferences, from labelled cases.",
        "router-service fit cases.jsonl --config router.yaml --out fit.json",
    ),
    Entry(
        "envoy",
        "Envoy's own configuration, rendered from the same file.",
        "router-service envoy render router.yaml --out /etc/envoy",
    ),
    Entry(
        "plan",
        "How many replicas a load needs, from measured constants.",
        "router-service plan --rps 2000 --preference-share 0.4",
    ),
    Entry(
        "demo-provider",
        "An honest stand-in for an OpenAI-compatible provider, which says what reached it.",
        "router-service demo-provider --port 8080 --name openai",
    ),
    Entry("worker"),
)


def main(argv: Sequence[str] | None = None) -> int:
    try:
        args = _parse(list(sys.argv[1:] if argv is None else argv))
        return cast("Callable[[argparse.Namespace], int]", args.run)(args)
    except RouterError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `router-service … | head`
        sys.stderr.close()
        return 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments, `run` of the subcommand among them."""
    parser = argparse.ArgumentParser(prog="router-service", description="Routes LLM requests inside Envoy.")
    parser.add_argument("--version", action="version", version=f"router-service {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    for entry in COMMANDS:
        if not entry.help and entry.name != called:
            continue
        subparser = subparsers.add_parser(
            entry.name,
            help=entry.help,
            description=entry.help,
            epilog=f"example: {entry.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if entry.name == called:
            command = cast(Command, import_module(entry.module))
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    return parser.parse_args(arguments)
