"""Average the weights of several runs.

    python merge.py A.safetensors B.safetensors --out FILE [--base FILE --share 0.8]

Runs that start at one point and differ in their seed end in one basin; their mean is better than each (model soups,
Wortsman et al. 2022). With `--base`, the result is `(1 - share) * base + share * mean`, which keeps generality.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from encoder import WORD_TABLE, Encoder, interpolate, load, save


def mean(models: list[Encoder]) -> Encoder:
    states = [model.state_dict() for model in models]
    merged = Encoder(len(states[0][WORD_TABLE]))
    merged.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    return merged.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="Average the weights of several runs.")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="untuned weights to mix in")
    parser.add_argument("--share", type=float, default=0.8, help="of the tuned weights, with --base")
    args = parser.parse_args()
    merged = mean([load(run) for run in args.runs])
    if args.base:
        head = merged.opening.state_dict()
        merged = interpolate(load(args.base), merged, args.share)
        merged.opening.load_state_dict(head)
    save(merged, args.out)


if __name__ == "__main__":
    main()
