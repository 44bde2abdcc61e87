"""Estimates under a user's prior: simulations drawn from it, with and without it.

    python benchmarks/user_priors.py [--model sentinel-2] [--methods amortised,lut,lm,refined]
                                     [--simulations 4000] [--few 200] [--speed 20000]

For every prior, pixels are drawn from it with the model's noise and gaps, so that the truth is
known. For each trait: RMSE without and with the prior, the share of truths within the 90 %
interval of the posterior without and with it. `amortised` sees all simulations, the other methods
the first few. The last table is the time of a map: pixels a second of `inversion.retrieve`.
"""

import argparse
import sys
import time

import numpy as np
import torch
import xarray as xr

import inversion
from inversion.kernel import load_model
from inversion.methods import estimator
from physvae.config import parse_config
from physvae.evaluation import true_traits
from physvae.field_interval import without_field
from physvae.marginals import Marginal
from physvae.prior_parts import model_under
from physvae.simulation import hide, simulate
from physvae.under_prior import weighted_draws
from physvae.user_priors import Bounds, UserPrior, change_for, load_user_prior
from physvae.vae import NORMAL

TRAITS = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
HALF = NORMAL.inv_cdf(0.95)
PRIORS = {
    "LAI 3 ± 0.4": {"lai": Marginal(mean=3.0, sd=0.4, low=0.0, high=10.0)},
    "LAI in 0-2": {"lai": Bounds(low=0.0, high=2.0)},
    "LAI even in 4-8": {"lai": Marginal(kind="uniform", low=4.0, high=8.0)},
    "Cab 40 ± 5": {"cab": Marginal(mean=40.0, sd=5.0, low=5.0, high=90.0)},
    "Cab in 20-40": {"cab": Bounds(low=20.0, high=40.0)},
}
CROPS = ("wheat", "grass", "broadleaf-forest")


def cases(model, prior: UserPrior, n: int, seed: int = 5):
    """Reflectance, angles and true traits of pixels drawn from a prior."""
    change, config = change_for(model, prior), parse_config(model.config["training"], model.name)
    generator = torch.Generator().manual_seed(seed)
    drawn = simulate(model_under(model, change), n, config.angles, generator)
    seen = hide(drawn.reflectance, drawn.angles, model.bands, config.missing, generator)
    theta = change.new(drawn.scores)
    names = tuple(name for name in TRAITS if name in model.traits)
    return *seen, true_traits(model, change.old.to_score(theta), drawn.angles, names)


def amortised(model, prior: UserPrior | None, x, a, names):
    """Mean and the ends of the 90 % interval of the posterior, by trait."""
    if prior is None:
        found = model.marginals(x, a, names)
        parts = found.moments()[0], found.quantile(-HALF), found.quantile(HALF)
        return {name: [part[:, i] for part in parts] for i, name in enumerate(names)}
    change, blocks = change_for(model, prior), zip(x.split(500), a.split(500), strict=True)
    draws = [weighted_draws(model, *block, names, change)[0] for block in blocks]
    return {
        name: [
            torch.cat(part)
            for part in zip(
                *([d.mean(name), *d.quantiles(name, (0.05, 0.95))] for d in draws), strict=True
            )
        ]
        for name in names
    }


def by_method(model, method: str, prior: UserPrior | None, x, a, names):
    """The same of a method that decodes; the interval is that of the sd, within the range."""
    used = estimator(model, method, 200, 1000)
    options = {} if prior is None else {"prior": prior}
    found = used.estimate(x, a, names, **options)
    ends = {}
    for name in names:
        mean, half, trait = found.mean[name], HALF * found.sd[name], model.traits[name]
        low, high = (end.clamp(trait.low, trait.high) for end in (mean - half, mean + half))
        ends[name] = (mean, low, high)
    return ends


def scored(truth, found) -> tuple[float, float]:
    """RMSE, and the share of truths in the interval."""
    mean, low, high = found
    inside = ((low <= truth) & (truth <= high)).double().mean()
    return float((mean - truth).square().mean().sqrt()), float(inside)


def compare(model, method: str, prior: UserPrior, n: int) -> None:
    """Print a line a trait."""
    x, a, truth = cases(model, prior, n)
    names = tuple(truth)
    ask = amortised if method == "amortised" else by_method
    given = (model,) if method == "amortised" else (model, method)
    start = time.perf_counter()
    before = ask(*given, None, x, a, names)
    middle = time.perf_counter()
    after = ask(*given, prior, x, a, names)
    took = n / (middle - start), n / (time.perf_counter() - middle)
    print(f"\n{prior.name}, {method}, {n} pixels, {took[0]:,.0f} and {took[1]:,.0f} pixels/s\n")
    print("| trait | RMSE | with the prior | 90 % holds | with the prior |")
    print("|---|---|---|---|---|")
    for name in names:
        (rmse, kept), (less, held) = (scored(truth[name], f[name]) for f in (before, after))
        print(f"| {name} | {rmse:.3g} | {less:.3g} | {kept:.3f} | {held:.3f} |", flush=True)


def speed(model, n: int) -> None:
    """Print pixels a second of a map, without and with a prior."""
    side = int(n**0.5)
    x, _, _ = cases(model, load_user_prior("wheat"), side * side)
    image = xr.Dataset(
        {
            "reflectance": (("y", "x", "band"), x.nan_to_num(0.1).reshape(side, side, -1).numpy()),
            "sun_zenith_deg": 40.0, "view_zenith_deg": 5.0, "relative_azimuth_deg": 90.0,
        },
        coords={"band": list(model.bands)},
    )  # fmt: skip
    print(f"\nmap of {side * side} pixels, {torch.get_num_threads()} thread\n")
    print("| prior | pixels/s |")
    print("|---|---|")
    for prior in (None, "grass", "wheat"):
        inversion.retrieve(image.isel(y=slice(2)), model, prior=prior)
        start = time.perf_counter()
        found = inversion.retrieve(image, model, prior=prior)
        took = time.perf_counter() - start
        assert np.isfinite(found["lai"]).all()
        print(f"| {prior or 'none'} | {side * side / took:,.0f} |")


def main(arguments: list[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="sentinel-2")
    parser.add_argument("--methods", default="amortised,lut,lm,refined")
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--speed", type=int, default=20_000)
    asked = parser.parse_args(arguments)
    shipped = load_model(asked.model, "cpu")
    model = without_field(shipped)
    priors = [UserPrior(name, tuple(given.items())) for name, given in PRIORS.items()]
    priors += [load_user_prior(name) for name in CROPS]
    for method in asked.methods.split(","):
        for prior in priors:
            compare(
                model, method, prior, asked.simulations if method == "amortised" else asked.few
            )
    speed(shipped, asked.speed)
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
