"""The table of known providers, and where an entry's requests go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from router_service.config.models import ModelProvider
from router_service.config.providers import KNOWN, Auth, apis, endpoint, is_host, parse_base_url
from router_service.routing.api import OPENAI_COMPATIBLE, Api


def _entry(model: str, **keys: object) -> ModelProvider:
    return ModelProvider.model_validate({"model": model, "access_key": SecretStr("k"), **keys})


@pytest.mark.parametrize(
    ("model", "address"),
    [
        pytest.param("openai/gpt-5", "api.openai.com/v1", id="openai"),
        pytest.param("anthropic/claude", "api.anthropic.com/v1", id="anthropic"),
        pytest.param("gemini/flash", "generativelanguage.googleapis.com/v1beta/openai", id="gemini"),
        pytest.param("google/flash", "generativelanguage.googleapis.com/v1beta/openai", id="google"),
        pytest.param("groq/llama", "api.groq.com/openai/v1", id="groq"),
        pytest.param("mistral/large", "api.mistral.ai/v1", id="mistral"),
        pytest.param("deepseek/chat", "api.deepseek.com/v1", id="deepseek"),
        pytest.param("xai/grok", "api.x.ai/v1", id="xai"),
        pytest.param("moonshotai/kimi", "api.moonshot.ai/v1", id="moonshotai"),
        pytest.param("together_ai/meta/llama", "api.together.xyz/v1", id="together_ai"),
        pytest.param("openrouter/x/y", "openrouter.ai/api/v1", id="openrouter"),
        pytest.param("zhipu/glm", "open.bigmodel.cn/api/paas/v4", id="zhipu"),
    ],
)
def test_a_known_provider_needs_no_address(model: str, address: str) -> None:
    found = endpoint(_entry(model))
    assert found.host + found.path_prefix == address
    assert (found.scheme, found.port, found.auth, found.query) == ("https", 443, Auth.BEARER, "")
    assert found.authority == found.sni == found.tls_name == found.host


def test_azure_takes_the_model_in_the_path_the_version_in_the_query_and_the_key_in_its_own_header() -> None:
    found = endpoint(_entry("azure_openai/gpt-4o", base_url="https://mine.openai.azure.com/"))
    assert found.path_prefix == "/openai/deployments/gpt-4o"
    assert found.query == "api-version=2025-01-01-preview"
    assert (found.auth.header, found.auth.prefix) == ("api-key", "")


def test_a_query_in_base_url_replaces_the_provider_s() -> None:
    found = endpoint(_entry("azure_openai/gpt-4o", base_url="https://mine.openai.azure.com?api-version=2024-10-21"))
    assert (found.path_prefix, found.query) == ("/openai/deployments/gpt-4o", "api-version=2024-10-21")


def test_a_path_in_base_url_replaces_prefix_and_query_together() -> None:
    found = endpoint(_entry("azure_openai/gpt-4o", base_url="https://mine.openai.azure.com/openai/v1/"))
    assert (found.path_prefix, found.query) == ("/openai/v1", "")


@pytest.mark.parametrize(
    ("keys", "path_prefix"),
    [
        pytest.param({"base_url": "http://127.0.0.1:8000"}, "/v1", id="no path: /v1"),
        pytest.param({"base_url": "http://127.0.0.1:8000/"}, "/v1", id="only a slash: /v1"),
        pytest.param({"base_url": "http://127.0.0.1:8000/compatible/v1/"}, "/compatible/v1", id="the path as written"),
        pytest.param({"base_url": "http://h", "provider_interface": "groq"}, "/openai/v1", id="another one's API"),
    ],
)
def test_an_unknown_provider_speaks_the_openai_api_at_base_url(keys: dict[str, str], path_prefix: str) -> None:
    assert endpoint(_entry("mine/model", **keys)).path_prefix == path_prefix


def test_a_known_provider_keeps_its_prefix_behind_another_host() -> None:
    found = endpoint(_entry("groq/llama", base_url="http://127.0.0.1:4000"))
    assert (found.upstream, found.path_prefix) == ("provider/http/127.0.0.1:4000", "/openai/v1")


def test_a_provider_without_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="no known address for provider mine"):
        endpoint(_entry("mine/model"))


def test_two_ports_of_one_host_are_two_upstreams() -> None:
    one, other = (endpoint(_entry("vllm/m", base_url=f"http://gpu:{port}")) for port in (8000, 8001))
    assert (one.upstream, other.upstream) == ("provider/http/gpu:8000", "provider/http/gpu:8001")


def test_ipv6_stands_in_brackets_only_where_a_port_may_follow() -> None:
    found = endpoint(_entry("vllm/m", base_url="https://[2001:db8::1]:8443/v1"))
    assert (found.host, found.authority) == ("2001:db8::1", "[2001:db8::1]:8443")
    assert (found.tls_name, found.sni) == ("2001:db8::1", "")


def test_http_host_is_the_host_header_and_the_tls_name() -> None:
    found = endpoint(_entry("openai/gpt-5", base_url="https://10.0.0.7", http_host="llm.internal:8443"))
    assert (found.host, found.authority, found.sni) == ("10.0.0.7", "llm.internal:8443", "llm.internal")


@pytest.mark.parametrize(
    ("keys", "auth"),
    [
        pytest.param({"access_key": None}, Auth.NONE, id="no key: nothing is sent"),
        pytest.param({}, Auth.BEARER, id="a key"),
        pytest.param({"passthrough_auth": True}, Auth.PASSTHROUGH, id="the client's"),
        pytest.param({"access_key": None, "passthrough_auth": True}, Auth.PASSTHROUGH, id="the client's, no key"),
    ],
)
def test_how_the_credential_is_presented(keys: dict[str, object], auth: Auth) -> None:
    found = endpoint(_entry("openai/gpt-5", **keys)).auth
    assert found is auth
    assert found.injects == (auth is Auth.BEARER)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        pytest.param("api.openai.com", "does not start with http", id="no scheme"),
        pytest.param("ftp://h", "does not start with http", id="another scheme"),
        pytest.param("https://", "has no valid host name", id="no host"),
        pytest.param("https://a..b", "has no valid host name", id="empty label"),
        pytest.param("https://999.1.1.1", "has no valid host name", id="not an IPv4 address"),
        pytest.param("https://h ost/", "has no valid host name", id="space"),
        pytest.param("https://h:port", "is not an address", id="port is a word"),
        pytest.param("https://h:70000", "is not an address", id="port too large"),
        pytest.param("https://h:0", "has port 0", id="port zero"),
        pytest.param("https://[::1", "is not an address", id="half a bracket"),
        pytest.param("https://me:pw@h", "user name or password", id="credentials"),
        pytest.param("https://h/v1#x", "fragment", id="fragment"),
        pytest.param("https://h/a b", "percent-encoded", id="space in the path"),
        pytest.param("https://h/v1?a=ü", "percent-encoded", id="umlaut in the query"),
    ],
)
def test_a_wrong_base_url_says_what_is_wrong(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_base_url(url)


@given(st.text() | st.from_regex(r"https?://[\w.:\[\]@-]*(/[\w{}]*)?(\?\S*)?", fullmatch=True))
def test_base_url_is_parsed_or_refused(url: str) -> None:
    # Nothing but ValueError escapes, and what is accepted can stand in an Envoy address and a request path.
    try:
        base = parse_base_url(url)
    except ValueError:
        return
    assert is_host(base.host)
    assert 1 <= base.port <= 65535
    assert base.path == "" or (base.path.startswith("/") and not base.path.endswith("/"))


@pytest.mark.parametrize(
    ("model", "keys", "more"),
    [
        pytest.param("openai/gpt-5", {}, {Api.RESPONSES}, id="OpenAI"),
        pytest.param("anthropic/claude", {}, {Api.MESSAGES}, id="Anthropic"),
        pytest.param("openrouter/x/y", {}, {Api.MESSAGES, Api.RESPONSES}, id="both"),
        pytest.param("deepseek/chat", {}, set(), id="another path has another API"),
        pytest.param("anthropic/claude", {"base_url": "http://127.0.0.1:1"}, {Api.MESSAGES}, id="known, elsewhere"),
        pytest.param("mine/model", {"base_url": "http://h"}, set(), id="unknown"),
        pytest.param(
            "mine/model",
            {"base_url": "http://h", "provider_interface": "vllm"},
            {Api.MESSAGES, Api.RESPONSES},
            id="unknown, with another's interface",
        ),
    ],
)
def test_which_apis_a_provider_takes_beside_the_openai_compatible_ones(
    model: str, keys: dict[str, str], more: set[Api]
) -> None:
    assert apis(_entry(model, **keys)) == OPENAI_COMPATIBLE | more


def test_an_entry_that_says_what_it_takes_takes_nothing_else() -> None:
    assert apis(_entry("openai/gpt-5", apis=["chat", "messages"])) == {Api.CHAT, Api.MESSAGES}


@pytest.mark.parametrize(
    ("model", "keys", "on_messages"),
    [
        pytest.param("anthropic/claude", {}, Auth.X_API_KEY, id="Anthropic"),
        pytest.param("vllm/m", {"base_url": "http://h"}, Auth.BEARER, id="as everywhere else"),
        pytest.param("anthropic/claude", {"access_key": None}, Auth.NONE, id="no key"),
        pytest.param("anthropic/claude", {"passthrough_auth": True}, Auth.PASSTHROUGH, id="the client's"),
        pytest.param(
            "mine/m", {"base_url": "http://h", "provider_interface": "anthropic"}, Auth.X_API_KEY, id="by interface"
        ),
    ],
)
def test_how_the_credential_is_presented_on_messages(model: str, keys: dict[str, object], on_messages: Auth) -> None:
    assert endpoint(_entry(model, **keys)).messages_auth is on_messages


def test_the_table_names_each_provider_once() -> None:
    assert all(name == row.name for name, row in KNOWN.items())
    assert all(row.prefix.startswith("/") and not row.prefix.endswith("/") for row in KNOWN.values())
