"""`$NAME` and `${NAME}`: secrets come from the environment, once, when the file is loaded.

A variable that is not set is a warning, one for each provider whose entries name it, and leaves these entries without
their key: the other models still work.
No value of a variable, and no key written into the file, is part of any message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from router_service.config.models import Config, ModelProvider
from router_service.config.providers import provider_of
from router_service.config.report import Location, Report

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})\}})")


class Unread(Mapping[str, str]):
    """An environment for the secrets that a process does not use: everything is set, and nothing is read."""

    def __getitem__(self, name: str) -> str:
        return "unread"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Resolved:
    """`missing` maps the key of an entry to the variables that it names and that are not set."""

    config: Config
    missing: Mapping[str, tuple[str, ...]]


def resolve(
    config: Config, environ: Mapping[str, str], report: Report, provider_environ: Mapping[str, str]
) -> Resolved:
    """The configuration with its secrets in place of their names; `provider_environ` has those of the providers."""
    entries: list[ModelProvider] = []
    missing: dict[str, tuple[str, ...]] = {}
    unset: dict[tuple[str, str], list[_Unset]] = {}
    for index, entry in enumerate(config.model_providers):
        secrets = _Secrets(provider_environ, report)
        location: Location = ("model_providers", index)
        variable = provider_of(entry).key_variable or "PROVIDER_API_KEY"
        key = secrets.access_key(entry.access_key, variable, (*location, "access_key"))
        headers = {
            name: secrets.header(value.get_secret_value(), (*location, "headers", name))
            for name, value in entry.headers.items()
        }
        entries.append(entry.model_copy(update={"access_key": key, "headers": headers}))
        if secrets.unset:
            missing[entry.key] = tuple(secrets.unset)
        for name, first in secrets.unset.items():
            unset.setdefault((entry.provider, name), []).append(first)
    for (provider, _), (first, *others) in unset.items():
        more = "1 more entry" if len(others) == 1 else f"{len(others)} more entries"
        _warn(report, first, f", for this and {more} of {provider}" if others else "")
    secrets = _Secrets(environ, report)
    key = secrets.access_key(config.router.access_key, "ROUTER_API_KEY", ("router", "access_key"))
    for first in secrets.unset.values():
        _warn(report, first)
    router = config.router.model_copy(update={"access_key": key})
    return Resolved(config.model_copy(update={"model_providers": entries, "router": router}), missing)


@dataclass(frozen=True, slots=True)
class _Unset:
    """A variable that is named at `location`; `state` says how it is not there."""

    variable: str
    location: Location
    state: str


def _warn(report: Report, unset: _Unset, where_else: str = "") -> None:
    what = f"the environment variable {unset.variable} {unset.state}{where_else}"
    report.warn(unset.location, what, f"export {unset.variable}=… before starting")


class _Secrets:
    """The secrets of one entry, or of the router."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report
        self.unset: dict[str, _Unset] = {}  # by the variable, where it is named first

    def access_key(self, key: SecretStr | None, variable: str, location: Location) -> SecretStr | None:
        """The key itself; `variable` is what to suggest where it is not the name of one."""
        if key is None:
            return None
        written = key.get_secret_value().strip()
        reference = _REFERENCE.fullmatch(written)
        if reference is not None:
            value = self._value(reference[1] or reference[2], location)
        elif not written:
            self._report.error(location, "is empty", f"write ${variable}, or remove the key")
            return None
        elif written.startswith("$"):
            self._report.error(
                location, "is not the name of an environment variable", f"write it like ${variable} or ${{{variable}}}"
            )
            return None
        else:
            value = written
            self._report.warn(
                location,
                "holds the key itself, for everyone who can read this file",
                f"set an environment variable and write ${variable}",
            )
        return self._checked(value, location)

    def header(self, written: str, location: Location) -> SecretStr:
        def replacement(reference: re.Match[str]) -> str:
            return self._value(reference[1] or reference[2], location) or ""

        return self._checked(_REFERENCE.sub(replacement, written), location) or SecretStr("")

    def _value(self, name: str, location: Location) -> str | None:
        value = self._environ.get(name, "").strip()
        if value:
            return value
        state = "is empty" if name in self._environ else "is not set"
        self.unset.setdefault(name, _Unset(name, location, state))
        return None

    def _checked(self, value: str | None, location: Location) -> SecretStr | None:
        if value is None:
            return None
        if not value.isascii() or not value.isprintable():
            self._report.error(
                location,
                "holds a line break or another character that no HTTP header can carry",
                "set the variable to the key alone",
            )
            return None
        return SecretStr(value)
