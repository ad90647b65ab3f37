"""The compose file's services as processes, in the order that `depends_on` asks for.

All share one loopback, where services in Docker have addresses of their own: their names lead to 127.0.0.2, which works
because no two of them listen on one port. Not to 127.0.0.1: Envoy's resolver reads names of one address as names of one
host, and would find `localhost`'s ::1 for each of them, where nothing listens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.deploy.manifests import get
from tests.sidecar.containers import Container, Image, Process, Volume, wait_until

Service = Mapping[str, object]

# What the Dockerfile's USER says; a service may say otherwise.
IMAGE_USER = "65532:65532"


class RunningProject:
    """Started service by service. `base` is the compose file's directory; all that is written goes to `directory`."""

    def __init__(
        self, services: Mapping[str, Service], images: Mapping[str, Image], base: Path, directory: Path
    ) -> None:
        self._services = services
        self._images = images
        self._base = base
        self.directory = directory
        self.processes: dict[str, Process] = {}
        self.order: list[str] = []

    def start(self, name: str) -> None:
        """A service, after those that it depends on, each in the condition that it wants."""
        if name in self.processes:
            return
        depends = get(self._services, f"{name}.depends_on", {})
        assert isinstance(depends, dict)
        for other in depends:
            self.start(other)
            condition = get(depends, f"{other}.condition")
            if condition == "service_completed_successfully":
                process = self.processes[other]
                assert process.finish(60) == 0, process.told()
            else:
                assert condition == "service_healthy"
                self._wait_until_healthy(other)
        self.order.append(name)
        self.processes[name] = self._container(name).start(self.directory)

    def _wait_until_healthy(self, name: str) -> None:
        test = get(self._services, f"{name}.healthcheck.test")
        retries = get(self._services, f"{name}.healthcheck.retries")
        assert isinstance(test, list)
        assert test[0] == "CMD"
        assert isinstance(retries, int)
        container = self._container(name)

        def holds() -> bool:
            return container.start(self.directory, test[1:]).finish(30) == 0

        wait_until(holds, self.processes[name], period_s=1, tries=retries)

    def _container(self, name: str) -> Container:
        service = self._services[name]
        command = service["command"]
        assert isinstance(command, Sequence)
        uid, gid = str(service.get("user", IMAGE_USER)).split(":")
        return Container(
            name=name,
            image=self._images[str(service["image"]).rpartition(":")[0]],
            args=tuple(map(str, command)),
            env={},
            volumes=(*self._volumes(service), *self._tmpfs(name, service)),
            uid=int(uid),
            gid=int(gid),
            read_only_root=service["read_only"] is True,
            hosts="".join(f"127.0.0.2 {other}\n" for other in self._services),
        )

    def _volumes(self, service: Service) -> list[Volume]:
        found = []
        written = service.get("volumes", [])
        assert isinstance(written, list)
        for volume in written:
            source, target, *options = str(volume).split(":")
            path = (self._base / source).resolve() if source.startswith(".") else self._named(source)
            found.append(Volume(str(path), target, options == ["ro"]))
        return found

    def _named(self, name: str) -> Path:
        """Owner and mode are those that the image has at the place (the Dockerfile's `install --directory`)."""
        return self._directory_of_the_user(name, 0o700)

    def _tmpfs(self, name: str, service: Service) -> list[Volume]:
        paths = service.get("tmpfs", [])
        assert isinstance(paths, list)
        return [
            Volume(str(self._directory_of_the_user(f"{name}{path.replace('/', '-')}", 0o777)), path, read_only=False)
            for path in paths
        ]

    def _directory_of_the_user(self, name: str, mode: int) -> Path:
        path = self.directory / "volumes" / name
        if not path.exists():
            path.mkdir(parents=True)
            os.chown(path, *map(int, IMAGE_USER.split(":")))
            path.chmod(mode)
        return path
