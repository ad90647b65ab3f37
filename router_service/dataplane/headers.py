"""Which headers cross which hop. Each list names what one hop takes away, or what one of our headers says.

client ──► edge listener ──► model listener ──► provider
       (a)               (b)                (c)           (d) on the way back
"""

from __future__ import annotations

from router_service.extproc.stream import ATTEMPT_HEADER
from router_service.extproc.wire import MODEL_HEADER, UPSTREAM_HEADER

# (a) Only the service and Envoy set these. (`x-envoy-…` goes as well: with it a client would set Envoy's timeouts and
# retries.)
CLIENT_MAY_NOT_SEND = (UPSTREAM_HEADER, MODEL_HEADER, ATTEMPT_HEADER)

# (c) How clients of the known APIs present a credential. Theirs is for this router; a provider gets its own.
CLIENT_CREDENTIALS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "proxy-authorization")

# (c) Ours, and what Envoy says of the client: nothing to a provider. By prefix, and by name.
INTERNAL_PREFIXES = ("x-router-", "x-envoy-")
INTERNAL_HEADERS = ("x-model-affinity", "x-forwarded-for", "x-forwarded-proto")

# (d) Said by a provider of its own host, and wrong when another repeats it.
HOST_HEADERS = ("alt-svc", "set-cookie", "strict-transport-security")

# (d) What the service decided: response header, and its key in the dynamic metadata of the reply.
DECISION_HEADERS = (
    ("x-router-model", "model"),
    ("x-router-route", "route"),
    ("x-router-source", "source"),
    ("x-router-reason", "reason"),
)
# (d) The model that answered, or was the last to be tried, and how many were.
SERVED_BY_HEADER = "x-router-served-by"
ATTEMPTS_HEADER = "x-router-attempts"

# (d) Envoy's word for "do not try again", from a model's listener to the edge. A provider's own Envoy says it with each
# 429, but then the next model is to be tried.
NO_RETRY_HEADER = "x-envoy-ratelimited"

# (d) A provider must not speak in our name.
OUR_RESPONSE_HEADERS = (*(name for name, _ in DECISION_HEADERS), SERVED_BY_HEADER, ATTEMPTS_HEADER)
