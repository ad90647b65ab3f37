"""Every overlay builds, is valid to Kubernetes, and keeps to the policies."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest

from router_service.capacity import model
from router_service.capacity.measured import load_constants
from router_service.cli import main
from tests.deploy import crds, overlays
from tests.deploy.manifests import Pod, entries, get, name, one, pods
from tests.deploy.policies import POLICIES, Policy

OVERLAYS = overlays.names()

# The oldest release that has all we use (`sleep` in a preStop hook), and the newest that the schemas know.
KUBERNETES_VERSIONS = ("1.30", kubernetes_validate.latest_version())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds_and_every_resource_is_valid(overlay: str) -> None:
    for resource in overlays.build(overlay):
        if crds.knows(resource):
            assert crds.problems(resource) == [], name(resource)
        else:
            for version in KUBERNETES_VERSIONS:
                kubernetes_validate.validate(dict(resource), version, strict=True)


def test_a_misspelt_field_is_found() -> None:
    deployment = dict(one(overlays.build("standalone"), "Deployment"))
    with pytest.raises(kubernetes_validate.ValidationError, match="replcas"):
        kubernetes_validate.validate(
            {**deployment, "spec": {**dict(deployment["spec"]), "replcas": 2}},  # type: ignore[call-overload] # JSON
            KUBERNETES_VERSIONS[-1],
            strict=True,
        )


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_keeps_to_the_policy(overlay: str, policy: Policy) -> None:
    broken = [
        f"{pod.owner} {container['name']}"
        for pod in pods(overlays.build(overlay))
        for container in pod.containers
        if not policy.holds(pod, container)
    ]
    assert broken == []


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_policy_is_broken_by_a_careless_pod(policy: Policy) -> None:
    container = {"name": "careless", "image": "envoy:latest", "envFrom": [{"secretRef": {"name": "keys"}}]}
    pod = Pod("careless", {}, {"containers": [container], "hostNetwork": True})
    assert not policy.holds(pod, container)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_reference_leads_to_something_in_the_overlay(overlay: str) -> None:
    resources = overlays.build(overlay)
    known = {name(resource) for resource in resources}
    wanted = {
        f"{kind}/{target}"
        for pod in pods(resources)
        for kind, target in [
            ("ServiceAccount", pod.spec["serviceAccountName"]),
            *(("ConfigMap", get(volume, "configMap.name")) for volume in entries(pod.spec, "volumes")),
            *(
                (kind, get(source, f"{field}.name"))
                for container in pod.containers
                for source in entries(container, "envFrom")
                for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))
            ),
        ]
        if target is not None
    }
    scaled = {
        f"{get(resource, 'spec.scaleTargetRef.kind')}/{get(resource, 'spec.scaleTargetRef.name')}"
        for resource in resources
        if resource["kind"] == "HorizontalPodAutoscaler"
    }
    assert wanted | scaled <= known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_selector_selects_pods_of_the_overlay(overlay: str) -> None:
    resources = overlays.build(overlay)
    running = [pod.labels for pod in pods(resources)]
    for resource in resources:
        selector = (
            get(resource, "spec.selector")
            if resource["kind"] == "Service"
            else get(resource, "spec.selector.matchLabels")
            if resource["kind"] == "PodDisruptionBudget"
            else None
        )
        if isinstance(selector, dict):
            assert any(selector.items() <= labels.items() for labels in running), name(resource)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_named_port_is_a_port_of_its_container(overlay: str) -> None:
    for pod in pods(overlays.build(overlay)):
        for container in pod.long_running:
            ports = {get(port, "name") for port in entries(container, "ports")}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = get(container, f"{probe}.httpGet.port", get(container, f"{probe}.tcpSocket.port"))
                assert port in ports, (container["name"], probe)


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "monitoring"])
def test_no_admin_port_is_open_to_anyone(overlay: str) -> None:
    opened = {
        get(port, "port")
        for resource in overlays.build(overlay)
        if resource["kind"] == "NetworkPolicy"
        for rule in entries(resource, "spec.ingress")
        for port in entries(rule, "ports")
    }
    assert opened.isdisjoint({9901, 9902, 9903})
    doors = one(overlays.build(overlay), "NetworkPolicy", "deny-all")
    assert get(doors, "spec.policyTypes") == ["Ingress", "Egress"]
    assert get(doors, "spec.podSelector") == {}


def test_only_the_routers_pods_reach_vllm() -> None:
    policy = one(overlays.build("vllm"), "NetworkPolicy", "arch-router")
    assert get(policy, "spec.ingress.0.from") == [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "router-service"}}}
    ]


def test_a_change_of_the_configuration_or_a_key_gives_the_pods_another_name_to_mount(tmp_path: Path) -> None:
    def mounted(change: str) -> set[object]:
        directory = tmp_path / (change or "unchanged")
        overlays.copy(directory)
        standalone = directory / "overlays" / "standalone"
        if change:
            with (standalone / change).open("a") as file:
                file.write("ANOTHER_API_KEY=1\n" if change.endswith(".env") else "# another comment\n")
        resources = overlays.build_directory(standalone)
        return {name(one(resources, "ConfigMap", "router-config")), name(one(resources, "Secret", "provider-keys"))}

    before = mounted("")
    assert len(before - mounted("config.yaml")) == 1
    assert len(before - mounted("keys.env")) == 1


def test_the_router_is_up_before_envoy_and_outlives_it() -> None:
    pod = next(pods(overlays.build("standalone")))
    render, router = entries(pod.spec, "initContainers")
    (envoy,) = entries(pod.spec, "containers")
    assert render["name"] == "render"
    assert "restartPolicy" not in render
    assert router["name"] == "router"
    assert router["restartPolicy"] == "Always"  # a native sidecar: started in order, stopped after the containers
    drain = get(envoy, "lifecycle.preStop.sleep.seconds")
    assert isinstance(drain, int)
    assert isinstance(grace := pod.spec["terminationGracePeriodSeconds"], int)
    assert drain < grace
    told = re.search(r"--timeout=(\d+)s", " ".join(get(router, "lifecycle.preStop.exec.command", [])))  # type: ignore[arg-type] # JSON
    assert told is not None
    assert int(told[1]) < drain


def test_the_users_own_files_are_missing_until_the_user_makes_them() -> None:
    """Keys and the routing model are nobody else's to choose: building without them fails, naming the file."""
    for overlay, file in (("standalone", "keys.env"), ("vllm", "model.env")):
        directory = overlays.KUBERNETES / "overlays" / overlay
        assert f"envs: [{file}]" in (directory / "kustomization.yaml").read_text()
        assert (directory / f"{file}.example").is_file()


def test_keda_takes_the_place_of_the_autoscaler(tmp_path: Path) -> None:
    overlays.copy(tmp_path / "kubernetes")
    directory = tmp_path / "kubernetes" / "overlays" / "vllm"
    kustomization = directory / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("# - ../../components/keda", "- ../../components/keda"))
    resources = overlays.build_directory(directory)
    assert "HorizontalPodAutoscaler" not in {resource["kind"] for resource in resources}
    scaled = one(resources, "ScaledObject")
    assert crds.problems(scaled) == []
    assert get(scaled, "spec.scaleTargetRef.name") == get(one(resources, "StatefulSet"), "metadata.name")


def test_the_gateways_resources_are_what_the_configuration_renders_to(capsys: pytest.CaptureFixture[str]) -> None:
    directory = overlays.KUBERNETES / "overlays" / "envoy-gateway"
    assert main(["envoy", "render", str(directory / "config.yaml"), "--format", "envoy-gateway"]) == 0
    assert capsys.readouterr().out == (directory / "gateway.yaml").read_text()


def test_the_capacity_model_reckons_with_the_manifests_pod() -> None:
    pod = next(pods(overlays.build("standalone")))
    limits = {container["name"]: get(container, "resources") for container in pod.containers}
    assert get(limits, "envoy.limits.cpu") == str(model.ENVOY_CORES_PER_POD)
    assert get(limits, "router.requests.cpu") == str(model.ROUTER_CORES_PER_POD)
    assert get(limits, "envoy.limits.memory") == f"{model.ENVOY_MEMORY_PER_POD_BYTES // 1024**3}Gi"


def test_pods_are_added_when_streams_fill_half_of_envoys_memory() -> None:
    metrics = entries(one(overlays.build("standalone"), "HorizontalPodAutoscaler"), "spec.metrics")
    (in_flight,) = [get(metric, "pods.target.averageValue") for metric in metrics if metric["type"] == "Pods"]
    assert int(str(in_flight)) == pytest.approx(model.streams_per_pod(load_constants()) / 2, rel=0.1)


def test_with_mtls_the_router_is_reached_through_its_envoy_alone(tmp_path: Path) -> None:
    overlays.copy(tmp_path / "kubernetes")
    directory = tmp_path / "kubernetes" / "overlays" / "envoy-gateway"
    kustomization = directory / "kustomization.yaml"
    wanted = "  - ../../components/router\n"
    kustomization.write_text(kustomization.read_text().replace(wanted, f"{wanted}  - ../../components/router-mtls\n"))
    resources = overlays.build_directory(directory)
    (pod,) = pods(resources)
    broken = [policy.name for policy in POLICIES for container in pod.containers if not policy.holds(pod, container)]
    assert broken == []
    kubernetes_validate.validate(dict(one(resources, "Deployment")), KUBERNETES_VERSIONS[-1], strict=True)
    router, mtls = pod.containers
    assert router["args"] == [
        "serve",
        "/etc/router-service/config.yaml",
        "--listen=unix:/run/router-service/router.sock",
        "--admin=0.0.0.0:9902",
    ]
    assert [get(port, "name") for port in entries(router, "ports")] == ["router-admin"]
    assert [get(port, "name") for port in entries(mtls, "ports")] == ["grpc"]
