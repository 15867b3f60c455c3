"""Compares the automatic balance with the choice of `impasto tune` and with a single fixed style weight.

python benchmarks/bench_balance.py [--pairs N] [--size 192]

For every pair, the nine trials of `impasto tune` and three fixed style weights are run and scored by the teacher.
The score is the one `tune` uses: log style + log content, plus a penalty for lost structure. The regret of a choice is
its score minus the best of all twelve, per pair; 0.7 is a factor of two in style or content.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import PAIRS, need_data, pair, report, teacher

from impasto.config import options
from impasto.measure import bootstrap, measure_against
from impasto.media import Picture
from impasto.pipeline import stylize_image
from impasto.study import STEPS, score_of, suggest

FIXED = (10.0, 100.0, 1000.0)


def scores_of(index: int, size: int) -> tuple[dict[str, float], str]:
    """Returns the score of every choice on a pair, and the choice that `tune` would make."""
    content, style = (Picture.from_tensor(image) for image in pair(index))
    sources, evaluator, scores = (content.to_tensor(), style.to_tensor()), teacher(), {}
    tries, _sheet = suggest(content, [style], options(), size=size)
    for one in tries:
        scale = one.options.style_scale
        figures = measure_against(one.picture.to_tensor(), *sources, evaluator, style_scale=scale)
        scores[one.label] = score_of(figures)
    for weight in FIXED:
        settled = options(balance="fixed", style_weight=weight, size=size, steps=STEPS, coarsest=0)
        picture = stylize_image(content, [style], settled)
        figures = measure_against(picture.to_tensor(), *sources, evaluator)
        scores[f"style weight {weight:g} for all"] = score_of(figures)
    return scores, tries[0].label


def main() -> None:
    """Prints one row per choice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--size", type=int, default=192)
    args = parser.parse_args()
    need_data()
    regrets: dict[str, list[float]] = {}
    chosen: list[str] = []
    for index in range(args.pairs):
        scores, choice = scores_of(index, args.size)
        best = min(scores.values())
        for name, score in {**scores, "tune's choice": scores[choice]}.items():
            regrets.setdefault(name, []).append(score - best)
        chosen.append(choice)
        print(PAIRS[index], choice, f"{scores[choice] - best:.2f}", flush=True)
    rows: dict[str, Any] = {}
    for name, values in sorted(regrets.items(), key=lambda item: sum(item[1])):
        found = bootstrap(values)
        rows[name] = [round(one, 2) for one in (found.mean, found.low, found.high)]
    report("balance", {"pairs": args.pairs, "size": args.size, "regret": rows, "chosen": chosen})


if __name__ == "__main__":
    main()
