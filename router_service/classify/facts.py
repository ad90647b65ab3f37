"""What a probe found out about one model server."""

from __future__ import annotations

from dataclasses import dataclass

from router_service.classify.model_server import ServedModel


@dataclass(frozen=True, slots=True)
class Facts:
    """`None`, False and nothing are the safe assumptions: nothing breaks if a capability is there and not known.

    `served` are the models the server lists. `special_tokens` are those of its tokenizer that a text must not hold.
    `allowed_token_ids` are what its tokenizer spells the names with, and ends a turn with; none if answers may spell
    them in any way.
    """

    served: tuple[ServedModel, ...]
    serves_model: bool
    version: str | None = None
    max_model_tokens: int | None = None
    special_tokens: frozenset[str] = frozenset()
    first_guess_tokens: int | None = (
        None  # early stop; None: the names' tokens are not known, answers are decoded whole
    )
    allowed_token_ids: tuple[int, ...] = ()
    constrained: bool = False  # answers are held to the configured names while they are decoded
    weighs: bool = False  # log probabilities come with answers, so decisions have a confidence
