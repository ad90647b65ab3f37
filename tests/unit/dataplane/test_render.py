from __future__ import annotations

import json

from router_service.dataplane.render import render
from tests.unit.dataplane.rendered import DEPLOYMENT, at, config_of

CONFIG = config_of(
    {"model": "openai/gpt-5", "access_key": "sk-first", "headers": {"X-Team": "hush"}},
    {"model": "groq/llama", "access_key": "sk-second"},
)


def test_the_same_input_renders_the_same_bytes() -> None:
    assert render(CONFIG, DEPLOYMENT) == render(CONFIG, DEPLOYMENT)


def test_keys_are_in_their_own_files_and_nowhere_else() -> None:
    files = render(CONFIG, DEPLOYMENT)
    for value in ("sk-first", "hush", "sk-second"):
        [holder] = [name for name, text in files.items() if value in text]
        assert holder.startswith("sds/")
    assert set(files) == {
        "bootstrap.json",
        "cds.json",
        "lds.json",
        "sds/header_openai_gpt-5_x-team.json",
        "sds/key_groq_llama.json",
        "sds/key_openai_gpt-5.json",
    }


def test_a_version_changes_with_what_it_names_and_only_then() -> None:
    def versions(*models: str) -> tuple[str, str]:
        files = render(config_of(*({"model": model} for model in models)), DEPLOYMENT)
        return json.loads(files["lds.json"])["version_info"], json.loads(files["cds.json"])["version_info"]

    assert versions("openai/a") == versions("openai/a")
    assert versions("openai/a")[0] != versions("openai/b")[0]
    assert versions("openai/a")[1] != versions("openai/b")[1]


def test_a_secret_has_no_version_that_would_show_a_hash_of_it() -> None:
    files = render(CONFIG, DEPLOYMENT)
    assert list(json.loads(files["sds/key_groq_llama.json"])) == ["resources"]


def test_every_cluster_that_a_route_names_and_every_listener_that_a_cluster_names_exists() -> None:
    files = render(CONFIG, DEPLOYMENT)
    clusters = {cluster["name"]: cluster for cluster in json.loads(files["cds.json"])["resources"]}
    listeners = {listener["name"]: listener for listener in json.loads(files["lds.json"])["resources"]}
    for name, listener in listeners.items():
        if name.startswith("model/"):
            manager = at(listener, "filter_chains", 0, "filters", 0, "typed_config")
            assert at(manager, "route_config", "virtual_hosts", 0, "routes", 0, "route", "cluster") in clusters
            internal = at(clusters, name, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", "address")
            assert at(internal, "envoy_internal_address", "server_listener_name") == name


def test_envoy_has_the_two_names_without_which_it_refuses_secrets() -> None:
    node = json.loads(render(CONFIG, DEPLOYMENT)["bootstrap.json"])["node"]
    assert (node["id"], node["cluster"]) == ("router-service", "router-service")


def test_the_admin_is_on_loopback() -> None:
    bootstrap = json.loads(render(CONFIG, DEPLOYMENT)["bootstrap.json"])
    assert at(bootstrap, "admin", "address", "socket_address") == {"address": "127.0.0.1", "port_value": 9901}
