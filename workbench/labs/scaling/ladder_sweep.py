"""The sweep that ships: three architectures, four budgets, six sizes, trained on bytes.

    python -m workbench.labs.scaling.ladder_sweep [--out data/scaling-lab] [--tiny]

Transformer++, GLA and the MatMul-free LM (ternary weights) of 6 k to 1 M parameters learn the next
byte of the standard library's English: six sizes at each budget, on both sides of where the best
may be. A run of a budget C sees C / (6 N) bytes, N with everything, two rows of 128 at an update;
its schedule ends with it. The batch is the same for every run, so that a rate means the same.
Rates are searched first, at one budget and with a seed of their own: for each family and size, on
a ladder by factors of three, until the best by training loss has a worse one on each side. It is
kept for all budgets, which the table says. One budget is trained with three seeds.

The text has about two million bytes: `unique_tokens` and `epochs` say how often it was read. A law
without repeats is for runs of at most four epochs (Muennighoff et al. 2023); the rest is for the
data-constrained one. Sizes, budgets and rates are ours.

By count 100 TFLOP and 2 million updates, 80 minutes on two cores (`seconds` of both tables). The
same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.labs.scaling.tables import ADDITIONS
from workbench.runs import Store
from workbench.sweeps import Job, Processes, Study, sweep

if TYPE_CHECKING:
    import pandas as pd

    from workbench.language.config import DecoderConfig
    from workbench.training import Recipe

FAMILIES = {"attention": "Transformer++", "gla": "GLA", "matmulfree": "MatMul-free LM"}
SIZES = {
    "6k": (6_500, 16, 1),
    "10k": (10_000, 16, 2),
    "30k": (30_000, 32, 2),
    "66k": (66_000, 48, 2),
    "150k": (150_000, 64, 3),
    "300k": (300_000, 80, 4),
    "1m": (1_000_000, 128, 5),
}
"""Parameters, width and layers."""
SMALLER, LARGER = tuple(SIZES)[:-1], tuple(SIZES)[1:]
BUDGETS: dict[float, Sequence[str]] = {1e11: SMALLER, 3e11: SMALLER, 1e12: LARGER, 3e12: LARGER}
"""Sizes of each: the smallest is past its best at the largest budgets, the largest before it."""
REPEATED, SEEDS = 1e11, (0, 1, 2)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FIRST_RATES, SEARCH_SEED, SEARCHED = (3e-3, 1e-2), 100, 3e11
LENGTH, ROWS = 128, 2
LOGGED, CURVE = 1000, 100
"""Losses that a run logs, and the means of them that a curve keeps."""

STUDY, SEARCH = "scaling-ladder", "scaling-ladder-rates"


def main(arguments: Sequence[str] | None = None) -> int:
    """The search, the sweep, the table; 1 where a run failed, 3 where it was stopped."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/scaling-lab"))
    parser.add_argument("--store", type=Path, help="store of the runs; yours where left out")
    parser.add_argument("--tiny", action="store_true", help="the smallest runs, to see it works")
    given = parser.parse_args(arguments)
    store = Store(given.store)
    budgets = {1e9: SMALLER[:1]} if given.tiny else BUDGETS
    try:
        if given.tiny:
            search = None
            chosen = {(family, SMALLER[0]): FIRST_RATES[-1] for family in FAMILIES}
        else:
            search = searched(tuple(SIZES), store)
            chosen = best_rates(search)
        study = _swept(points(budgets, chosen), STUDY, store)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 3
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    table(study).to_csv(given.out / "runs.csv", index=False)
    curves(study).to_csv(given.out / "curves.csv", index=False)
    if search is not None:
        rates(search).to_csv(given.out / "rates.csv", index=False)
    print(f"{given.out}: runs.csv and curves.csv of {len(study.table())} runs")
    return 0


def searched(sizes: Sequence[str], store: Store) -> Study:
    """Rates for each family and size, until no neighbour on the ladder is left to try."""
    cells = [(family, size) for family in FAMILIES for size in sizes]
    wanted = [(cell, rate) for cell in cells for rate in FIRST_RATES]
    while True:
        grid = [
            {"family": family, "size": size, "budget": SEARCHED, "rate": rate, "seed": SEARCH_SEED}
            for (family, size), rate in wanted
        ]
        study = _swept(grid, SEARCH, store)
        wanted = untried(study)
        if not wanted:
            return study


def untried(study: Study) -> list[tuple[tuple[str, str], float]]:
    """The rates beside the best of each family and size that have no run yet."""
    rows = study.table()
    found = []
    for cell, best in best_rates(study).items():
        tried = set(rows[(rows["family"] == cell[0]) & (rows["size"] == cell[1])]["rate"])
        place = RATES.index(best)
        beside = RATES[max(place - 1, 0) : place + 2]
        found += [(cell, rate) for rate in beside if rate not in tried]
    return found


def _swept(grid: Sequence[Mapping[str, Any]], name: str, store: Store) -> Study:
    """A process for each core: models so small use one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with Processes(cores or 1) as executor:
        study = sweep(trained, grid, executor=executor, study=name, store=store, cost=expected)
    return complete(study)


def complete(study: Study) -> Study:
    """The study, of which every run has finished.

    Raises:
        RuntimeError: one failed.
    """
    records = study.records()
    errors = [one["error"] for one in records if one["state"] in ("failed", "lost")]
    if errors:
        raise RuntimeError(
            f"{study.name}: {len(errors)} of {len(records)} runs failed, the first with: "
            f"{errors[0]}"
        )
    return study


def best_rates(study: Study) -> dict[tuple[str, str], float]:
    """The rate with the least training loss at the end, by family and size.

    Raises:
        RuntimeError: a family and size of which no run ended with a number.
    """
    rows = study.table()
    found = {}
    for (family, size), group in rows.groupby(["family", "size"]):
        good = group[group["train_loss"].map(math.isfinite)]
        if good.empty:
            tried = ", ".join(f"{rate:g}" for rate in sorted(group["rate"]))
            raise RuntimeError(f"{family} {size}: no rate of {tried} gave a number")
        found[str(family), str(size)] = float(good.loc[good["train_loss"].idxmin(), "rate"])
    return found


def points(
    budgets: Mapping[float, Sequence[str]], rates: Mapping[tuple[str, str], float]
) -> list[dict[str, Any]]:
    """Settings of every run; the largest first, so that no core waits at the end."""
    return [
        {"family": family, "size": size, "budget": budget, "rate": rate, "seed": seed}
        for budget in sorted(budgets, reverse=True)
        for (family, size), rate in rates.items()
        if size in budgets[budget]
        for seed in (SEEDS if budget == REPEATED else SEEDS[:1])
    ]


def expected(settings: Mapping[str, Any]) -> float:
    """The cost of a run, for the time that is left."""
    return float(settings["budget"])


def trained(settings: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """One run: its loss in nats a byte, its size, its data, and its FLOPs by every convention."""
    from workbench.datasets import english
    from workbench.language.studies.running import last_loss
    from workbench.language.tasks import NextToken
    from workbench.language.token_data import TokenData
    from workbench.measure import device

    config = model(settings["family"], settings["size"])
    data = TokenData(english(), length=LENGTH)
    recipe = recipe_of(config, settings)
    result = job.train(NextToken(config, data), recipe)
    tokens, unique = recipe.steps * recipe.batch_size * LENGTH, len(data.train.ids)
    return {
        "loss": result.evaluation["nats_per_token"],
        "train_loss": last_loss(result),
        "steps": recipe.steps,
        "batch": recipe.batch_size,
        "n_tokens": tokens,
        "unique_tokens": unique,
        "epochs": tokens / unique,
        "device": device.label(),
        **counted(settings["family"], settings["size"], tokens),
    }


def model(family: str, size: str) -> DecoderConfig:
    """The shape of a family at a size."""
    from workbench.language.published import ladder

    return ladder(family, SIZES[size])


def recipe_of(config: DecoderConfig, settings: Mapping[str, Any]) -> Recipe:
    """The family's recipe, of as many updates as the budget has."""
    from workbench.language.published import parameters
    from workbench.language.recipes import recipe_for

    tokens = settings["budget"] / (6 * parameters(config))
    steps = max(20, round(tokens / (ROWS * LENGTH)))
    return recipe_for(
        config,
        steps=steps,
        batch_size=ROWS,
        learning_rate=settings["rate"],
        seed=settings["seed"],
        log_every=max(1, steps // LOGGED),
        checkpoint_every=max(1, steps // 4),
    )


@cache
def counted(family: str, size: str, tokens: int) -> dict[str, float]:
    """Parameters, FLOPs of training by every convention, and additions of ternary weights."""
    from workbench.language.mixers.attention import AttentionConfig
    from workbench.language.published import parameters
    from workbench.scaling.flops import conventions, forward_additions

    config = model(family, size)
    total = parameters(config)
    head = config.vocab_size * config.hidden_size
    body = total - head * (1 if config.tie_word_embeddings else 2)
    mixers = [config.mixer(layer) for layer in range(config.num_hidden_layers)]
    causal = 2 * sum(mixer.macs(config.hidden_size, LENGTH) for mixer in mixers)
    full = float(causal)
    if family == "attention":  # every score, and 3 operations each for the softmax
        heads = sum(mixer.num_heads for mixer in mixers if isinstance(mixer, AttentionConfig))
        full = causal * 2 * LENGTH / (LENGTH + 1) + 3.0 * heads * LENGTH
    each = conventions(body, head, total, causal=causal, full=full)
    flops = {f"flops_{name}": value * tokens for name, value in each.items()}
    if config.linears == "ternary":  # the head as well
        flops[ADDITIONS] = forward_additions(body + head, tokens)
    return {"n_params": total, "n_non_embedding": body, **flops}


def table(study: Study) -> pd.DataFrame:
    """A row for each run, as the lab reads it."""
    rows = study.table()
    kept = [name for name in rows.columns if name.startswith("flops_") or name == ADDITIONS]
    named = ["budget", "n_params", "n_non_embedding", "n_tokens", "unique_tokens", "epochs"]
    named += ["loss", "train_loss", "seed", "rate", "steps", "batch", "seconds", *kept, "device"]
    found = rows.assign(method=rows["family"].map(FAMILIES))[["method", *named]]
    return found.assign(date=datetime.date.today().isoformat())


def rates(study: Study) -> pd.DataFrame:
    """A row for each run of the search: what the rates of the table were chosen by."""
    rows = study.table().assign(method=lambda rows: rows["family"].map(FAMILIES))
    kept = ["method", "n_params", "rate", "train_loss", "budget", "steps", "seed", "seconds"]
    return rows[[*kept, "device"]].sort_values(["method", "n_params", "rate"])


def curves(study: Study) -> pd.DataFrame:
    """The training loss on the way: `row` of the table, `n_tokens` so far, `loss`."""
    import pandas as pd

    logged = study.curves(["loss"])
    parts = []
    for row, (run, batch) in enumerate(study.table()[["run", "batch"]].itertuples(index=False)):
        steps = logged[logged["run"] == run]
        places = np.arange(len(steps)) * CURVE // max(len(steps), 1)
        mean = steps.groupby(places)[["step", "loss"]].mean()
        tokens = (mean["step"] * batch * LENGTH).round().astype(int)
        parts.append(pd.DataFrame({"row": row, "n_tokens": tokens, "loss": mean["loss"].round(4)}))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())
