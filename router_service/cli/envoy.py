"""`router-service envoy render`: the configuration file as the files that Envoy reads; `envoy drain`: its way out."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import yaml

from router_service.config.load import Loaded, load
from router_service.config.providers import endpoint
from router_service.config.service import Address, TcpAddress, UnixAddress, parse_address, service_addresses
from router_service.config.units import parse_duration_s
from router_service.dataplane import envoy_gateway
from router_service.dataplane.authorities import find_ca_file
from router_service.dataplane.binary import find_envoy
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.drain import EnvoyAdmin, drain
from router_service.dataplane.files import SECRETS, Written, write
from router_service.dataplane.inotify import shortage
from router_service.dataplane.render import render
from router_service.errors import SetupError, format_problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="envoy_command", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "render",
        help="write bootstrap.json, lds.json, cds.json and the providers' keys",
        description="Writes what Envoy reads. A running Envoy follows when the files are rendered again.",
        epilog="example: router-service envoy render router.yaml --out /etc/envoy",
    )
    command.add_argument("config", metavar="CONFIG", help="the configuration file")
    command.add_argument("--out", metavar="DIR", type=Path, help="directory to write to")
    command.add_argument(
        "--format",
        choices=["files", "envoy-gateway"],
        default="files",
        help="files for an Envoy of your own, or, on standard output, resources for Envoy Gateway: files",
    )
    command.add_argument("--mount", metavar="PATH", help="where Envoy will see DIR, if not at its own path")
    command.add_argument("--listen", metavar="ADDR", type=_address, help="where Envoy finds worker 0 (service.listen)")
    command.add_argument("--workers", metavar="N", type=_positive, help="how many workers (service.workers)")
    command.add_argument(
        "--admin-port", metavar="PORT", type=int, default=9901, help="Envoy's admin on 127.0.0.1: 9901"
    )
    command.add_argument("--node-id", metavar="ID", default="router-service", help="this Envoy's name in its reports")
    command.add_argument(
        "--ca-file", metavar="PEM", help="authorities to check providers against; default: the system's"
    )
    command.add_argument("--access-log", metavar="FILE", help="file for the access log; default: standard output")
    command.add_argument(
        "--status", metavar="ADDR", type=_tcp_address, help="serve Envoy's /metrics, /livez and /readyz at host:port"
    )
    command.add_argument("--strict", action="store_true", help="write nothing and exit with 1 if there are warnings")
    command.add_argument("--gateway", metavar="NAME", default="llm", help="name of the Gateway (envoy-gateway): llm")
    command.add_argument("--gateway-class", metavar="NAME", default="eg", help="its class (envoy-gateway): eg")
    command.set_defaults(envoy_run=_render)
    command = commands.add_parser(
        "drain",
        help="take a running Envoy out of service: nobody new, and wait for the requests under way",
        description="Makes Envoy fail its health checks and ask its clients to connect elsewhere, while it goes on "
        "serving. Exits with 0 when nothing is under way any more, with 1 when the time was too short. Stop it then.",
        epilog="example: router-service envoy drain --timeout 60s",
    )
    command.add_argument(
        "--admin-port", metavar="PORT", type=int, default=9901, help="Envoy's admin on 127.0.0.1: 9901"
    )
    command.add_argument(
        "--settle", metavar="TIME", type=_duration, default=5.0, help="go on for so long in any case: 5s"
    )
    command.add_argument("--timeout", metavar="TIME", type=_duration, default=60.0, help="wait no longer: 60s")
    command.set_defaults(envoy_run=_drain)


def run(args: argparse.Namespace) -> int:
    code: int = args.envoy_run(args)
    return code


def _drain(args: argparse.Namespace) -> int:
    left = drain(
        EnvoyAdmin(args.admin_port),
        settle_s=args.settle,
        timeout_s=args.timeout,
        clock=time.monotonic,
        sleep=time.sleep,
    )
    if left:
        print(f"{_count(left, 'request')} still under way after {args.timeout:g} s.", file=sys.stderr)
        return 1
    print("Drained: no request is under way.")
    return 0


def _render(args: argparse.Namespace) -> int:
    is_gateway = args.format == "envoy-gateway"
    if args.out is None and not is_gateway:
        raise SetupError("Where to? Name a directory with --out.")
    loaded = load(args.config, envoy_gateway.References() if is_gateway else os.environ)
    for problem in loaded.warnings:
        print(format_problem(args.config, problem), file=sys.stderr)
    if args.strict and loaded.warnings:
        return 1
    if is_gateway:
        print(_resources(args, loaded), end="")
        return 0
    out = args.out.absolute()
    deployment = _deployment(args, loaded, out)
    files = render(loaded.config, deployment, loaded.missing)
    written = write(files, out)
    print(_report(loaded, deployment, out, written))
    if deployment.directory == str(out) and (too_few := shortage(files)):
        print(too_few, file=sys.stderr)
    return 0


def _resources(args: argparse.Namespace, loaded: Loaded) -> str:
    """For `kubectl apply -f -`: what is lost stands at the top."""
    rendered = envoy_gateway.render(loaded.config, gateway=args.gateway, gateway_class=args.gateway_class)
    head = [f"# From {Path(args.config).name}, by: router-service envoy render --format envoy-gateway"]
    if rendered.lost:
        head += ["# Left out, because Envoy Gateway has nothing like it:", *(f"#   {line}" for line in rendered.lost)]
    body = yaml.safe_dump_all(rendered.resources, sort_keys=False, width=120, allow_unicode=True)
    return "\n".join([*head, body])


def _deployment(args: argparse.Namespace, loaded: Loaded, out: Path) -> Deployment:
    service = loaded.config.service.model_copy(
        update={key: value for key, value in (("listen", args.listen), ("workers", args.workers)) if value is not None}
    )
    try:
        addresses = service_addresses(service)
    except ValueError as error:
        raise SetupError(f"--listen {service.listen} --workers {service.workers}: {error}.") from error
    uses_tls = any(endpoint(entry).tls for entry in loaded.config.model_providers)
    return Deployment(
        directory=(args.mount or str(out)).rstrip("/"),
        service=tuple(_absolute(address) for address in addresses),
        ca_file=args.ca_file or (find_ca_file() if uses_tls else ""),
        admin_port=args.admin_port,
        node_id=args.node_id,
        access_log=args.access_log,
        status=args.status,
    )


def _absolute(address: Address) -> Address:
    """Envoy may be started anywhere."""
    return UnixAddress(str(Path(address.path).absolute())) if isinstance(address, UnixAddress) else address


def _report(loaded: Loaded, deployment: Deployment, out: Path, written: Written) -> str:
    config = loaded.config
    addresses = len({endpoint(entry).upstream for entry in config.model_providers})
    clients = ", ".join(f"{listener.address}:{listener.port}" for listener in config.listeners)
    about = {
        "bootstrap.json": f"admin on 127.0.0.1:{deployment.admin_port}",
        "lds.json": f"clients on {clients}; {_count(len(config.model_providers), 'model')}",
        "cds.json": f"{_count(addresses, 'provider address', 'provider addresses')}; router on "
        + ", ".join(str(address) for address in deployment.service),
    }
    lines = [f"Envoy's configuration is in {out}:"]
    lines += [
        f"  {name:<15} {'written' if name in written.changed else 'unchanged':<10} {about[name]}" for name in about
    ]
    secrets = [_among(names) for names in (written.changed, written.unchanged, written.removed)]
    counts = zip(secrets, ("written", "unchanged", "removed"), strict=True)
    told = ", ".join(f"{count} {verb}" for count, verb in counts if count) or "none needed"
    lines += [f"  {SECRETS + '/':<15} {told}: the providers' keys, readable by you alone"]
    if loaded.missing:
        lines += ["", f"Without a key, and refused until rendered with one: {', '.join(loaded.missing)}"]
    return "\n".join([*lines, "", f"Start it with: {_envoy(out, deployment)} -c {deployment.directory}/bootstrap.json"])


def _among(names: tuple[str, ...]) -> int:
    return sum(name.startswith(f"{SECRETS}/") for name in names)


def _envoy(out: Path, deployment: Deployment) -> str:
    """What to type for Envoy, here or where the files will be mounted."""
    if shutil.which("envoy") or deployment.directory != str(out):
        return "envoy"
    try:
        return str(find_envoy())
    except SetupError:
        return "envoy"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _tcp_address(text: str) -> TcpAddress:
    try:
        parsed = parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not isinstance(parsed, TcpAddress):
        raise argparse.ArgumentTypeError(f"'{text}' is a socket; write host:port")
    return parsed


def _duration(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of workers; write 1 or more")
    return int(text)
