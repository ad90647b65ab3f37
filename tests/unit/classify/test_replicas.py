"""Which replicas there are, which is asked, and which is left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from router_service.classify.facts import Facts
from router_service.classify.replicas import Replica, Replicas
from router_service.routing.breaker import Outcome, Policy
from router_service.routing.special_tokens import SPECIAL_TOKENS
from tests.unit.classify.fakes import SERVED, Clock, FakeServer

POLICY = Policy(failures=2, first_pause_s=1.0, longest_pause_s=8.0)


class Names:
    """A resolver with `addresses`; a name that is not there cannot be looked up."""

    def __init__(self, **addresses: Collection[str]) -> None:
        self.addresses = addresses

    async def __call__(self, host: str, port: int) -> Collection[str]:
        if host not in self.addresses:
            raise OSError("Name or service not known")
        return self.addresses[host]


async def replicas(*urls: str, names: Names | None = None, clock: Clock | None = None) -> Replicas:
    made = Replicas(
        urls or ("http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://10.0.0.3:8000"),
        lambda address: FakeServer(address=address),
        resolver=names or Names(),
        policy=POLICY,
        clock=clock or Clock(),
    )
    await made.refresh()
    return made


def addresses(replicas: Sequence[Replica]) -> list[str]:
    return [str(replica.server.address) for replica in replicas]


def chosen(replicas: Replicas) -> Replica:
    replica = replicas.choose()
    assert replica is not None
    return replica


async def test_a_list_of_urls_and_a_name_with_several_addresses_are_all_replicas() -> None:
    names = Names(arch=["10.0.0.9", "10.0.0.8"])
    made = await replicas("http://10.0.0.1:8000", "https://arch/v1", names=names)
    assert addresses(made.known) == ["http://10.0.0.1:8000", "https://10.0.0.8", "https://10.0.0.9"]
    assert [replica.server.address.host for replica in made.known] == ["10.0.0.1", "arch", "arch"]


async def test_an_address_that_stays_keeps_what_is_known_about_it_and_one_that_goes_is_left_out() -> None:
    names = Names(arch=["10.0.0.1", "10.0.0.2"])
    made = await replicas("http://arch:8000", names=names)
    first = made.known[0]
    names.addresses["arch"] = ["10.0.0.1", "10.0.0.3"]
    await made.refresh()
    assert made.known[0] is first
    assert addresses(made.known) == ["http://10.0.0.1:8000", "http://10.0.0.3:8000"]


async def test_a_name_that_cannot_be_looked_up_keeps_its_addresses() -> None:
    names = Names(arch=["10.0.0.1"])
    made = await replicas("http://arch:8000", names=names)
    del names.addresses["arch"]
    await made.refresh()
    assert addresses(made.known) == ["http://10.0.0.1:8000"]


async def test_a_name_never_found_leaves_nobody_to_ask() -> None:
    made = await replicas("http://arch:8000")
    assert (made.known, made.choose()) == ((), None)


async def test_a_password_in_a_url_goes_nowhere() -> None:
    made = await replicas("http://me:secret@10.0.0.1:8000")
    assert "secret" not in repr(made.known[0].server.address)


async def test_the_least_loaded_replica_is_asked() -> None:
    made = await replicas()
    asked = [chosen(made) for _ in range(3)]
    for replica in asked[:1]:
        made.asked(replica)
    for _ in range(10):
        assert chosen(made) is not asked[0]


async def test_equally_loaded_replicas_take_turns() -> None:
    made = await replicas()
    assert {chosen(made) for _ in range(3)} == set(made.known)


async def test_a_replica_that_fails_again_and_again_is_left_out_until_a_probe_succeeds() -> None:
    clock = Clock()
    made = await replicas(clock=clock)
    sick = made.known[1]
    for _ in range(POLICY.failures):
        made.answered(sick, made.asked(sick), Outcome.FAILURE)
    assert {chosen(made) for _ in range(10)} == set(made.known) - {sick}

    clock.now_s += POLICY.first_pause_s
    assert {chosen(made) for _ in range(10)} == set(made.known)
    probe = made.asked(sick)
    assert {chosen(made) for _ in range(10)} == set(made.known) - {sick}
    made.answered(sick, probe, Outcome.SUCCESS)
    assert {chosen(made) for _ in range(10)} == set(made.known)


async def test_a_second_try_is_with_another_replica() -> None:
    made = await replicas("http://10.0.0.1:8000", "http://10.0.0.2:8000")
    first, second = made.known
    assert made.choose(besides=first) is second
    alone = await replicas("http://10.0.0.1:8000")
    assert alone.choose(besides=alone.known[0]) is None


async def test_every_special_token_we_know_is_kept_out_until_the_served_ones_are_found() -> None:
    made = await replicas("http://10.0.0.1:8000", "http://10.0.0.2:8000")
    assert made.special_tokens == SPECIAL_TOKENS
    facts = Facts(SERVED, serves_model=True, special_tokens=frozenset({"<|im_end|>"}))
    made.known[0].facts = facts
    assert made.special_tokens == {"<|im_end|>"}
    made.known[1].facts = replace(facts, special_tokens=frozenset({"</s>"}))
    assert made.special_tokens == {"<|im_end|>", "</s>"}
