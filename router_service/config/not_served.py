"""What Plano (formerly archgw) has and this service does not: each key with what therefore does not happen.

`migrate` leaves these keys out with that warning, the JSON Schema marks them as deprecated, docs/configuration.md lists
them. A feature that is built leaves this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# By section; "" has whole sections.
NOT_SERVED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "": {
            "agents": "agents are not reached",
            "filters": "no filter sees a request",
            "prompt_targets": "no function is called",
            "prompt_guards": "no guard checks a request",
            "ratelimits": "no token limit applies",
            "system_prompt": "it is not added to requests",
            "endpoints": "only functions and agents use them",
            "error_target": "errors are answered to the client",
            "state_storage": "no conversation is stored",
            "prompt_caching": "no cache markers are added",
            "tracing": "no traces are sent",
            "mode": "this is always a model gateway",
            "listener": "requests are taken where `listeners` says",
        },
        "listeners": {
            "router": "agents are not reached",
            "agents": "agents are not reached",
            "filter_chain": "no filter sees a request",
            "input_filters": "no filter sees a request",
            "output_filters": "no filter sees a response",
            "connect_timeout": "`timeout` bounds the whole response",
            "common_tls_context": "the listener speaks plain HTTP",
        },
        "model_providers": {
            "stream": "the client decides whether an answer is streamed",
            "rate_limits": "no token limit applies",
            "weight": "the order of a preference's models decides",
        },
        "overrides": {
            "prompt_target_intent_matching_threshold": "no function is called",
            "optimize_context_window": "requests are sent on as they came",
            "use_agent_orchestrator": "agents are not reached",
            "agent_orchestration_model": "agents are not reached",
            "disable_signals": "responses are not analysed",
            "orchestrator_model_context_length": "`limits.max_prompt_tokens` bounds the classifier's prompt",
            "upstream_connect_timeout": "connecting to a provider has a fixed bound",
            "upstream_tls_ca_path": "the system's certificate authorities are used",
        },
        "routing": {
            "session_ttl_seconds": "every request is decided by itself",
            "session_max_entries": "every request is decided by itself",
            "session_cache": "every request is decided by itself",
            "routing_budget": "every request is decided by itself",
            "route_on_user_only": "every request is decided by itself",
        },
    }
)
