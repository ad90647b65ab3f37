"""From a configuration to its classifier, open and ready to be asked: the one place that knows every backend."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from router_service.classify import Classifier
from router_service.classify.answer_cache import AnswerCache
from router_service.classify.arch_router import ArchRouter, Bounds
from router_service.classify.backend import Backend
from router_service.classify.chain import Chain, Meter, first_share_s
from router_service.classify.model_server import ModelServer
from router_service.classify.openai import OpenAIBackend
from router_service.classify.replicas import Replicas, Resolver, resolve_host
from router_service.classify.vllm import VllmBackend
from router_service.classify.watch import Watch, Watcher
from router_service.config.models import Config
from router_service.routing.breaker import Policy
from router_service.routing.catalog import Catalog
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.prompt import LayoutName, load_layout

# vLLM's HTTP server closes an idle connection after 5 s; ours are given up a little earlier, so that a question is not
# sent into one that is being closed.
_KEEP_ALIVE_S = 4.0
# A replica that does not even accept a connection leaves time to ask another.
_CONNECT_SHARE = 0.25


@asynccontextmanager
async def open_classifier(
    config: Config,
    catalog: Catalog,
    *,
    open_embedded: Callable[[], Classifier],
    watcher: Watcher,
    meter: Meter | None = None,
    look_first: bool = False,
) -> AsyncIterator[Classifier]:
    """What requests meet: the configured classifiers as one chain with one deadline.

    With `look_first` it is open once the model servers have been probed, or found not to answer; else at once.
    """
    router = config.router
    async with AsyncExitStack() as stack:
        classifiers: list[Classifier] = []
        if router.backend != "embedded":
            timeout_s = router.timeout if router.fallback == "none" else first_share_s(router.timeout)
            opened = await stack.enter_async_context(
                open_arch_router(config, catalog, timeout_s=timeout_s, watcher=watcher)
            )
            if look_first:
                await opened.watch.look()
            opened.watch.start()
            classifiers.append(opened.classifier)
        if router.backend == "embedded" or router.fallback == "embedded":
            embedded = open_embedded()
            stack.push_async_callback(embedded.aclose)
            classifiers.append(embedded)
        yield Chain(classifiers, timeout_s=router.timeout, meter=meter)


@dataclass(frozen=True, slots=True)
class Opened:
    """`watch.look` makes the first question fast; `watch.start` keeps looking."""

    classifier: ArchRouter
    replicas: Replicas
    watch: Watch


@asynccontextmanager
async def open_arch_router(
    config: Config,
    catalog: Catalog,
    *,
    timeout_s: float,
    watcher: Watcher,
    resolver: Resolver = resolve_host,
    policy: Policy | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Opened]:
    """The classifier that asks the model servers of `router.url`, with a connection pool of its own."""
    router, limits = config.router, config.limits
    access_key = router.access_key.get_secret_value() if router.access_key else None
    layout = load_layout(LayoutName(router.prompt))
    names = [preference.name for preference in catalog.preferences]
    backend: Backend = (VllmBackend if router.backend == "vllm" else OpenAIBackend)(router.model, names, layout)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),  # bounded by max_in_flight
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout_s * _CONNECT_SHARE),
    ) as session:
        replicas = Replicas(
            router.url,
            lambda address: ModelServer(session, address, access_key=access_key),
            resolver=resolver,
            policy=policy or Policy(),
            clock=clock,
        )
        classifier = ArchRouter(
            backend,
            replicas,
            catalog.preferences,
            layout=layout,
            bounds=Bounds(
                timeout_s=timeout_s,
                max_in_flight=router.max_in_flight,
                min_confidence=router.min_confidence,
                max_turns=limits.max_turns,
                max_prompt_tokens=limits.max_prompt_tokens,
            ),
            cache=AnswerCache(ttl_s=router.cache.ttl, entries=router.cache.entries),
            clock=clock,
        )
        prompt = classifier.prompt(Conversation((Turn("user", "hello"),)))
        watch = Watch(replicas, backend, watcher, prompt=prompt)
        try:
            yield Opened(classifier, replicas, watch)
        finally:
            await watch.aclose()
            await classifier.aclose()
