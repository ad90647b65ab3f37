"""One pod of a built overlay as processes, started and stopped in the order in which the kubelet does it.

Init containers one after the other, those that stay (native sidecars) until their startup probe holds; then the
containers. At the end all preStop hooks at once, SIGTERM to each container when its hook is over, and to the sidecars
when the containers have gone. Ports are loopback's: a pod's containers share their network.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.deploy.manifests import Pod, entries, get, one
from tests.deploy.overlays import Resource
from tests.sidecar.containers import Container, Image, Process, Volume, answers, wait_until


class RunningPod:
    """`start`, then `stop`. `sleep` stands in for the kubelet's own `sleep` hook, which no process of the pod sees."""

    def __init__(self, pod: Pod, resources: Sequence[Resource], images: Mapping[str, Image], directory: Path) -> None:
        self._pod = pod
        self._resources = resources
        self._images = images
        self.directory = directory
        self._volumes = {str(volume["name"]): self._make_volume(volume) for volume in entries(pod.spec, "volumes")}
        self.processes: dict[str, Process] = {}
        self.containers: dict[str, Container] = {}

    def start(self) -> None:
        for spec in self._pod.containers:
            container = self._container(spec)
            process = container.start(self.directory)
            self.containers[container.name] = container
            self.processes[container.name] = process
            if spec in self._pod.long_running:
                self._wait(spec, "startupProbe", process)
                self._wait(spec, "readinessProbe", process)
            else:
                assert process.finish(60) == 0, process.told()

    def stop(self, sleep: Callable[[float], None]) -> None:
        containers = entries(self._pod.spec, "containers")
        sidecars = [spec for spec in self._pod.long_running if spec not in containers]
        hooks = {str(spec["name"]): self._pre_stop(spec, sleep) for spec in self._pod.long_running}
        for spec in [*containers, *reversed(sidecars)]:
            hooks[str(spec["name"])].join()
            process = self.processes[str(spec["name"])]
            process.stop(60)

    def _pre_stop(self, spec: Mapping[str, object], sleep: Callable[[float], None]) -> threading.Thread:
        """A hook under way."""
        seconds = get(spec, "lifecycle.preStop.sleep.seconds")
        command = get(spec, "lifecycle.preStop.exec.command")

        def run() -> None:
            if isinstance(seconds, int):
                sleep(seconds)
            if isinstance(command, list):
                executed = self.containers[str(spec["name"])].start(self.directory, command)
                assert executed.finish(120) == 0, executed.told()

        hook = threading.Thread(target=run)
        hook.start()
        return hook

    def _wait(self, spec: Mapping[str, object], probe: str, process: Process) -> None:
        ports = {str(port["name"]): port["containerPort"] for port in entries(spec, "ports")}
        port = ports[str(get(spec, f"{probe}.httpGet.port"))]
        url = f"http://127.0.0.1:{port}{get(spec, f'{probe}.httpGet.path')}"
        period = get(spec, f"{probe}.periodSeconds", 10)
        tries = get(spec, f"{probe}.failureThreshold", 3)
        assert isinstance(period, int)
        assert isinstance(tries, int)
        wait_until(lambda: answers(url), process, period_s=period, tries=tries + 1)

    def _container(self, spec: Mapping[str, object]) -> Container:
        def setting(name: str) -> object:
            return get(spec, f"securityContext.{name}", get(self._pod.spec, f"securityContext.{name}"))

        uid, gid = setting("runAsUser"), setting("runAsGroup")
        assert isinstance(uid, int)
        assert isinstance(gid, int)
        assert "command" not in spec  # the image's entry point
        args = spec.get("args", [])
        assert isinstance(args, list)
        return Container(
            name=str(spec["name"]),
            image=self._images[str(spec["image"]).rpartition(":")[0]],
            args=tuple(args),
            env=self._environment(spec),
            volumes=tuple(
                Volume(self._volumes[str(m["name"])], str(m["mountPath"]), bool(m.get("readOnly", False)))
                for m in entries(spec, "volumeMounts")
            ),
            uid=uid,
            gid=gid,
            read_only_root=setting("readOnlyRootFilesystem") is True,
        )

    def _environment(self, spec: Mapping[str, object]) -> dict[str, str]:
        assert "env" not in spec
        found: dict[str, str] = {}
        for source in entries(spec, "envFrom"):
            secret = one(self._resources, "Secret", str(get(source, "secretRef.name")))
            data = get(secret, "data", {})
            assert isinstance(data, dict)
            found |= {name: base64.b64decode(value).decode() for name, value in data.items()}
        return found

    def _make_volume(self, volume: Mapping[str, object]) -> str:
        directory = self.directory / "volumes" / str(volume["name"])
        directory.mkdir(parents=True)
        if (name := get(volume, "configMap.name")) is not None:
            data = get(one(self._resources, "ConfigMap", str(name)), "data")
            assert isinstance(data, dict)
            for file, text in data.items():
                (directory / file).write_text(text)
        else:
            assert "emptyDir" in volume
            group = get(self._pod.spec, "securityContext.fsGroup")
            assert isinstance(group, int)
            os.chown(directory, 0, group)
            directory.chmod(0o2777)  # what an emptyDir with fsGroup has
        return str(directory)
