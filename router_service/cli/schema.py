"""`schema`: the JSON Schema of the configuration file, which editors complete and check it with."""

from __future__ import annotations

import argparse
import json

from router_service.config.schema import json_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f"{parser.epilog}\n\n"
        "In VS Code (YAML extension), Zed or Neovim, put this line at the top of the configuration file:\n"
        "  # yaml-language-server: $schema=./schema.json"
    )


def run(_args: argparse.Namespace) -> int:
    print(json.dumps(json_schema(), indent=2))
    return 0
