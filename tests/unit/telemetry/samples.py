"""Decisions that the tests of this package count, write and print."""

from router_service.routing.catalog import Model, Target
from router_service.routing.decision import Classification, Decision, Reason, Source

GPT_5 = Model("openai/gpt-5", "openai", "gpt-5")
ANY_GROQ = Model("groq/*", "groq", "*")

MATCHED = Decision(
    Target(GPT_5, "gpt-5"),
    GPT_5.upstream,
    Source.PREFERENCE,
    Reason.MATCHED,
    "code generation",
    Classification(Reason.MATCHED, "code generation", 0.71234, backend="embedded", latency_s=0.0021),
)
REQUESTED = Decision(Target(ANY_GROQ, "llama-3.3-70b"), ANY_GROQ.upstream, Source.MODEL, Reason.REQUESTED)
TIMED_OUT = Decision(
    Target(GPT_5, "gpt-5"),
    GPT_5.upstream,
    Source.DEFAULT,
    Reason.TIMEOUT,
    classification=Classification(Reason.TIMEOUT, backend="vllm", latency_s=0.5),
)
RESCUED = Decision(
    Target(GPT_5, "gpt-5"),
    GPT_5.upstream,
    Source.PREFERENCE,
    Reason.MATCHED,
    "code generation",
    Classification(
        Reason.MATCHED, "code generation", 0.5, backend="embedded", latency_s=0.5021, failed=Reason.BREAKER_OPEN
    ),
)
