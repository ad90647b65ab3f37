"""The configuration file as values: one frozen model per section, in the newest shape.

Owns names, types, defaults and the sentence that documents each key (the reference in docs/configuration.md and the
JSON Schema are made from here). Older shapes are brought to this one by `migrate` before validation; references
between sections (a preference's models, an alias' target) are checked by `references`.
Durations are seconds and sizes bytes once loaded; the file writes `500ms` and `32MiB`.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema, model_validator
from pydantic.fields import FieldInfo

from router_service.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration_s, parse_size_bytes
from router_service.routing.api import Api


def one_or_several(value: object) -> object:
    """A text alone is a list of one."""
    return [value] if isinstance(value, str) else value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    Field(ge=0, le=365 * 86400),  # a year, well inside what Envoy's durations hold
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION_PATTERN}]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": SIZE_PATTERN}]}),
]
Urls = Annotated[
    list[str],
    BeforeValidator(one_or_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]

ApiName = Annotated[Api, WithJsonSchema({"enum": list(Api)})]


def reader(field: FieldInfo) -> object:
    """The function that reads a key's value, such as `parse_duration_s`; None where pydantic alone does."""
    optional = (entry for member in get_args(field.annotation) for entry in getattr(member, "__metadata__", ()))
    return next((entry.func for entry in (*field.metadata, *optional) if isinstance(entry, BeforeValidator)), None)


class Section(BaseModel):
    """Frozen, and an unknown key is an error: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _a_key_without_a_value_is_not_set(cls, keys: object) -> object:
        """`router:` with every line below it commented out means the defaults."""
        return {key: value for key, value in keys.items() if value is not None} if isinstance(keys, dict) else keys


class Listener(Section):
    name: str = Field("egress", description="Name of the Envoy listener, in its statistics and logs.")
    type: Literal["model"] = Field("model", description="Only model listeners are served.")
    address: str = Field("0.0.0.0", description="Address to listen on; IPv6 literals without brackets.")  # noqa: S104
    port: int = Field(10000, ge=1, le=65535, description="Port to listen on.")
    timeout: Duration = Field(
        0.0,
        description="Longest whole response; 0 is no bound, which suits streams. Idle limits always apply.",
    )
    max_retries: int | None = Field(
        None,
        ge=0,
        description="Upper bound on attempts after the first; the default is the length of the pool less one.",
    )


class ModelProvider(Section):
    model: str = Field(description="`provider/model-id`, or `provider/*` for every model of a provider.")
    name: str | None = Field(None, description="Another unique name for this entry; clients may use it as `model`.")
    access_key: SecretStr | None = Field(
        None, description="`$NAME` of an environment variable with the provider's key."
    )
    default: bool = Field(False, description="The model for requests that nothing else decides; at most one.")
    base_url: str | None = Field(
        None,
        description="Where the provider is, if not at its public address; a path in it replaces the API prefix.",
    )
    http_host: str | None = Field(None, description="Host header and TLS name, where they differ from base_url's host.")
    provider_interface: str | None = Field(
        None, description="The known provider whose prefix, credential and APIs an unknown provider has."
    )
    apis: list[ApiName] | None = Field(
        None, min_length=1, description="The APIs that it takes, if not those that the table of providers says."
    )
    passthrough_auth: bool = Field(False, description="Send the client's own credential to the provider.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Headers added to every request to it.")
    internal: bool = Field(False, description="Not listed by GET /v1/models.")
    fallbacks: list[str] = Field(
        default_factory=list,
        description="Models that are tried, in this order, where this one was chosen by itself and fails.",
    )

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    @property
    def model_id(self) -> str:
        return self.model.partition("/")[2]

    @property
    def key(self) -> str:
        """Unique in the file; names the entry's Envoy objects."""
        return self.name or self.model


class SelectionPolicy(Section):
    prefer: Literal["cheapest", "fastest", "random", "none"] = Field(
        "none",
        description="Which model is tried first: the one with the lowest price or latency in `model_metrics_sources`, "
        "one drawn by lot, or the first that is written. The others follow in the same way.",
    )
    weights: dict[str, Annotated[float, Field(ge=0, le=1_000_000)]] = Field(
        default_factory=dict,
        description="For `random`: how often each model is drawn, against the others. 1 where a model is not named, 0 "
        "for one that only follows.",
    )


class ModelAlias(Section):
    target: str | None = Field(None, min_length=1, description="A model, another alias, or `auto`.")
    targets: list[str] = Field(
        default_factory=list, description="In place of `target`: models that are tried in this order."
    )
    selection_policy: SelectionPolicy = Field(default_factory=SelectionPolicy, description="How `targets` are ordered.")

    @model_validator(mode="before")
    @classmethod
    def _a_text_is_the_target(cls, alias: object) -> object:
        return {"target": alias} if isinstance(alias, str) else {} if alias is None else alias


class RoutingPreference(Section):
    name: str = Field(min_length=1, description="What the classifier answers; short, and in line with the description.")
    description: str = Field(min_length=1, description="What requests of this kind are about, noun-centred, one line.")
    models: list[str] = Field(min_length=1, description="The models that serve it, best first.")
    examples: list[str] = Field(
        default_factory=list,
        description="Sentences a user might write; only the embedded classifier reads them.",
    )
    selection_policy: SelectionPolicy = Field(default_factory=SelectionPolicy, description="How the pool is ordered.")


class MetricsSource(Section):
    type: Literal["cost", "latency"] = Field(description="What it says of models: `cost` or `latency`.")
    provider: Literal["models.dev", "digitalocean", "prometheus", "envoy"] | None = Field(
        None,
        description="Who says it. Costs: the catalogue of `models.dev` or `digitalocean`. Latencies: a query to "
        "`prometheus`, or what `envoy` measured: the median time to the first byte over ten minutes.",
    )
    file: str | None = Field(
        None,
        min_length=1,
        description="For costs, in place of `provider`: a file of prices. Its path is relative to this file's.",
    )
    url: str | None = Field(
        None,
        description="Where the provider is: the whole URL of a catalogue in its shape, the base URL of Prometheus, the "
        "admin address of Envoy. Prometheus has no default; Envoy's is `http://127.0.0.1:9901`.",
    )
    query: str | None = Field(
        None, min_length=1, description="For `prometheus`: PromQL with one number for each model, in seconds."
    )
    label: str = Field("model_name", min_length=1, description="For `prometheus`: the label that names the model.")
    refresh_interval: Duration | None = Field(
        None,
        description="How often it is read again: by default 1h for a catalogue, 1m for `prometheus`, 10s for `envoy`, "
        "1s for a file.",
    )
    model_aliases: dict[str, str] = Field(
        default_factory=dict, description="For a catalogue: what it calls a model, and that model's name here."
    )


class Cache(Section):
    ttl: Duration = Field(0.0, description="How long the same question is answered from memory; 0 asks each time.")
    entries: int = Field(10_000, ge=1, description="Answers kept; the one not used for longest goes first.")


class Embedded(Section):
    model_dir: str | None = Field(
        None,
        description="Directory with another sentence encoder: model.onnx and tokenizer.json or vocab.txt.",
    )
    threshold: float | None = Field(
        None, ge=-1, le=1, description="Score below which no preference fits; the default suits the built-in model."
    )
    margin: float | None = Field(
        None,
        ge=0,
        le=2,
        description="Lead over the second preference that excuses a lower score; the default suits the built-in model.",
    )
    fit: str | None = Field(
        None,
        min_length=1,
        description="File that `router-service fit` wrote for these preferences, relative to this one; `threshold` and "
        "`margin` here win over it.",
    )
    cache_entries: int = Field(
        4096, ge=0, le=1_000_000, description="Texts seen last whose embeddings are kept, 2 KB each; 0 keeps none."
    )


class Router(Section):
    backend: Literal["embedded", "vllm", "openai"] = Field(
        "embedded",
        description="What classifies: in-process on the CPU, Arch-Router on vLLM, or any OpenAI-compatible server.",
    )
    url: Urls = Field(
        default=[],
        description="Address of the model server, for `vllm` and `openai`; several, or a name with several addresses, "
        "are replicas. A path in it replaces the API prefix.",
    )
    access_key: SecretStr | None = Field(
        None, description="`$NAME` of an environment variable with the model server's key, if it wants one."
    )
    model: str = Field("Arch-Router", description="Name under which the server serves the routing model.")
    prompt: Literal["model_card", "compact"] = Field("model_card", description="Layout of the prompt.")
    timeout: Duration = Field(0.5, gt=0, description="The whole classification, waiting and retries included.")
    max_in_flight: int = Field(256, ge=1, description="Classifications under way at once; more go to the fallback.")
    min_confidence: float = Field(0.0, ge=0, le=1, description="Below it the default model answers.")
    fallback: Literal["embedded", "none"] = Field(
        "embedded", description="What answers when the model server does not."
    )
    cache: Cache = Field(default_factory=Cache, description="Answers of the model server that are kept for a while.")
    embedded: Embedded = Field(default_factory=Embedded, description="The embedded classifier.")


class Routing(Section):
    override_explicit_model: bool = Field(
        False, description="Classify every chat request, even one that names a model or alias."
    )
    auto_names: list[str] = Field(default=["auto"], description="Values of `model` that mean: you choose.")
    retry_on: list[Annotated[int, Field(ge=400, le=599)]] = Field(
        default_factory=list,
        description="HTTP status codes after which the next model is tried, beside 429 and every 5xx.",
    )


class Limits(Section):
    max_body_bytes: Size = Field(
        32 * 1024**2,
        le=1024**3,  # gRPC's message length is an int32
        description="Largest request body, decoded.",
    )
    upstream_idle_timeout: Duration = Field(
        600.0, gt=0, description="Longest silence of a provider, before its first byte and between any two."
    )
    first_byte_timeout: Duration = Field(
        0.0,
        description="Longest wait for a provider's first byte; 0 leaves it to upstream_idle_timeout. An answer that is "
        "not streamed has its first byte when it is complete.",
    )
    max_turns: int = Field(16, ge=1, description="Newest turns of a conversation that a classifier reads.")
    max_prompt_tokens: int = Field(8192, ge=256, description="Estimated tokens (bytes / 4) of the classifier's prompt.")


class Service(Section):
    listen: str = Field(
        "127.0.0.1:9910",
        description="Where Envoy reaches the service: `host:port` or `unix:PATH`; worker N adds N to it.",
    )
    workers: int = Field(1, ge=1, le=256, description="Worker processes.")
    admin: str = Field("127.0.0.1:9902", description="Metrics and health.")
    drain_delay: Duration = Field(
        3.0, description="How long after SIGTERM new requests are still taken, so that Envoy's health check can notice."
    )
    drain_timeout: Duration = Field(30.0, description="How long requests under way may take after SIGTERM.")


class Config(Section):
    """The whole file."""

    version: str = Field("v0.4.0", description="Shape of the file. Older ones load too, and become this one.")
    listeners: list[Listener] = Field(default=[Listener()], min_length=1, description="Where clients connect.")
    model_providers: list[ModelProvider] = Field(min_length=1, description="The models and how to reach them.")
    model_aliases: dict[str, ModelAlias] = Field(
        default_factory=dict,
        description="Names of your own for models. `NAME: MODEL` is short for `NAME: {target: MODEL}`.",
    )
    routing_preferences: list[RoutingPreference] = Field(
        default_factory=list, description="Kinds of requests and the models that should serve them."
    )
    model_metrics_sources: list[MetricsSource] = Field(
        default_factory=list,
        description="Prices and latencies, which `selection_policy` ranks models by. Where several have a price, the "
        "first one counts.",
    )
    router: Router = Field(default_factory=Router, description="The classifier.")
    routing: Routing = Field(default_factory=Routing, description="How the three ways of routing combine.")
    limits: Limits = Field(default_factory=Limits, description="Bounds on what a request may cost.")
    service: Service = Field(default_factory=Service, description="The process itself.")
