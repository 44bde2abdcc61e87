"""Writes edge_cases.json: the reference at the edges of the parameter box and inside it.

    python tests/references/edge_cases.py        (a few minutes)

Values and slopes are decimal strings with 20 digits. A slope is the difference quotient of rso
with a step of 1e-20, forward, or backward at an upper bound. Angles are stepped both ways; where
the two slopes differ (the hot spot is a ridge) there is none and `null` is written.
"""

import hashlib
import json
import platform
import random
from pathlib import Path

import mpmath as mp
import prosail_mpmath as reference

from rtm.parameters import GEOMETRY, TRAITS
from rtm.products import par_quadrature

HERE = Path(__file__).resolve().parent
WAVELENGTHS = (450.0, 550.0, 670.0, 720.0, 800.0, 1100.0, 1450.0, 1940.0, 2400.0)
SLOPE_WAVELENGTHS = (670.0, 800.0)
STEP = mp.mpf(10) ** -20
OTHER = ("lai", "ala", "hspot", "psoil", "rsoil", *GEOMETRY)
USUAL = {
    "n_leaf": 1.5, "cab": 40.0, "car": 8.0, "ant": 1.0, "cbrown": 0.1, "cw": 0.012, "cm": 0.008,
    "prot": 0.001, "cbc": 0.008, "lai": 3.0, "ala": 57.0, "hspot": 0.1, "psoil": 0.5, "rsoil": 1.0,
    "tts": 30.0, "tto": 10.0, "psi": 60.0,
}  # fmt: skip
BARE = dict.fromkeys(("cab", "car", "ant", "cbrown", "cw", "cm", "prot", "cbc"), 0.0)
HOT = {"tts": 30.0, "tto": 30.0, "psi": 0.0}
BESIDE = {**HOT, "tto": 30.001}
GRAZING = {"tts": 80.0, "tto": 80.0, "psi": 120.0}
BRIGHT = {"rsoil": 3.5, "psoil": 1.0}

CASES = {
    "usual": [{}, {"leaf": "5"}, {"leaf": "PRO"}, {"lai": 0.5}],
    "lai": [
        {"lai": 0.0}, {"lai": 1e-6}, {"lai": 1e-3}, {"lai": 15.0}, {"lai": 0.0, **HOT},
        {"lai": 1e-6, **GRAZING}, {"lai": 15.0, **GRAZING}, {"lai": 15.0, **HOT},
        {"lai": 15.0, "ala": 0.0}, {"lai": 15.0, "ala": 90.0}, {"lai": 15.0, **BRIGHT},
    ],
    "hot spot": [
        HOT, BESIDE, {**HOT, "psi": 0.001}, {**HOT, "hspot": 1.0},
        {**HOT, "lai": 8.0, "tts": 60.0, "tto": 60.0}, {**BESIDE, "hspot": 1.0},
        {**BESIDE, "lai": 15.0, "ala": 80.0}, {**HOT, "tts": 80.0, "tto": 80.0},
        {**HOT, "tts": 80.0, "tto": 80.001}, {**HOT, "tto": 31.0},
    ],
    "nadir": [
        {"tts": 0.0, "tto": 0.0}, {"tts": 0.0, "tto": 0.0, "psi": 0.0}, {"tts": 0.0},
        {"tto": 0.0}, {"tts": 0.0, "tto": 0.0, "ala": 90.0}, {"tts": 0.0, "tto": 0.0, "ala": 0.0},
        {"tts": 0.001, "tto": 0.0},
    ],
    "hspot": [
        {"hspot": 0.0}, {"hspot": 1e-9}, {"hspot": 1e-4}, {"hspot": 1.0},
        {"hspot": 1e-4, **HOT}, {"hspot": 1e-4, **BESIDE}, {"hspot": 1e-4, "lai": 15.0},
        {"hspot": 0.0, "lai": 15.0, **GRAZING}, {"hspot": 0.0, "lai": 0.0},
        {"hspot": 1e-6, "lai": 15.0, **GRAZING}, {"hspot": 1e-2, "lai": 15.0, **GRAZING},
        {"hspot": 1e-7, "lai": 15.0, "ala": 80.0, "tts": 85.0, "tto": 84.0},
        {"hspot": 1e-3, "lai": 15.0, "tts": 85.0, "tto": 84.0, "psi": 10.0},
    ],
    "hspot 0 in the hot spot": [
        {"hspot": 0.0, **HOT}, {"hspot": 0.0, "tts": 0.0, "tto": 0.0},
        {"hspot": 0.0, "lai": 15.0, "tts": 80.0, "tto": 80.0, "psi": 0.0},
    ],
    "no absorber": [
        BARE, {**BARE, "n_leaf": 1.0}, {**BARE, "n_leaf": 3.5}, {**BARE, "lai": 15.0},
        {**BARE, "lai": 1e-6}, {**BARE, "lai": 0.0}, {**BARE, **BRIGHT},
        {**BARE, "lai": 15.0, **BRIGHT}, {**BARE, "lai": 15.0, "rsoil": 0.0}, {**BARE, **HOT},
        {**BARE, **GRAZING}, {**BARE, "lai": 15.0, "ala": 90.0, "tts": 5.0, "tto": 0.0},
        {**BARE, "leaf": "5"}, {**BARE, "leaf": "PRO"},
    ],
    "hardly an absorber": [
        {**BARE, "cw": 1e-6}, {**BARE, "cw": 1e-6, "lai": 15.0}, {**BARE, "cm": 1e-9},
        {**BARE, "cm": 1e-7}, {**BARE, "cm": 1e-5}, {**BARE, "cm": 1e-5, "lai": 15.0, **BRIGHT},
        {**BARE, "cab": 1e-4, "n_leaf": 1.0}, {**BARE, "cm": 1e-3},
    ],
    "water": [
        {"cw": 0.2}, {"cw": 1.0}, {"cw": 5.0}, {"cw": 5.0, "n_leaf": 1.0},
        {"cw": 5.0, "n_leaf": 3.5, "lai": 15.0}, {"cw": 5.0, "cab": 100.0, "cm": 0.03, **HOT},
        {"cw": 1.0, **GRAZING},
    ],
    "ala": [
        {"ala": 0.0}, {"ala": 0.5}, {"ala": 58.4345}, {"ala": 58.43}, {"ala": 89.5}, {"ala": 90.0},
        {"ala": 0.0, **GRAZING}, {"ala": 90.0, **GRAZING}, {"ala": 90.0, "tts": 2.0, "tto": 1.0},
        {"ala": 58.4345, "tts": 85.0, "lai": 10.0},
    ],
    "n_leaf": [
        {"n_leaf": 1.0}, {"n_leaf": 1.0001}, {"n_leaf": 3.0}, {"n_leaf": 3.5},
        {"n_leaf": 1.0, "lai": 15.0}, {"n_leaf": 1.0, "cm": 0.0, "cw": 0.0},
    ],
    "psi": [
        {"psi": 0.0}, {"psi": 0.001}, {"psi": 180.0}, {"psi": 180.0, "tts": 60.0, "tto": 60.0},
    ],
    "psi beyond 180": [
        {"psi": 200.0}, {"psi": 300.0}, {"psi": 360.0}, {"psi": -30.0}, {**HOT, "psi": 360.0},
        {"psi": 200.0, "tts": 60.0, "tto": 60.0},
    ],
    "grazing": [
        {"tts": 80.0}, {"tts": 85.0}, {"tts": 89.0}, {"tto": 80.0}, {"tts": 85.0, "tto": 85.0},
        {"tts": 89.0, "tto": 80.0, "lai": 15.0}, {"tts": 89.0, "tto": 80.0, "ala": 90.0},
        {"tts": 89.0, "tto": 80.0, "ala": 0.5, "lai": 1e-3}, {"tts": 89.0, "hspot": 0.0},
        {"tts": 89.0, "tto": 89.0, "psi": 0.0, "lai": 15.0},
    ],
    "soil": [
        BRIGHT, {**BRIGHT, "lai": 0.0}, {**BRIGHT, "lai": 0.3, **HOT}, {"rsoil": 0.0},
        {"psoil": 0.0}, {"psoil": 1.0}, {**BRIGHT, "lai": 0.1, **GRAZING},
    ],
}  # fmt: skip


def resonances() -> list[dict]:
    """Suns for which ks is m or 2m at one of the slope wavelengths: formulas divide by ks - m."""
    found = []
    for leaf in ({"ala": 75.0}, {"ala": 75.0, "cab": 5.0, "cm": 0.02}):
        p = {name: mp.mpf(value) for name, value in {**USUAL, **leaf}.items()}
        contents = tuple(p[name] for name in reference.CONTENTS["D"])
        for wavelength in SLOPE_WAVELENGTHS:
            rho, tau = reference.leaf_optics("D", wavelength, p["n_leaf"], contents)
            for times in (1, 2):
                tts = _sun_where_k_is(times, rho, tau, p)
                found += [{**leaf, "tts": tts}] if tts else []
    return found


def _sun_where_k_is(times: int, rho: mp.mpf, tau: mp.mpf, p: dict) -> float | None:
    def excess(tts: float) -> mp.mpf:
        geo = reference.geometry(mp.mpf(tts), p["tto"], p["psi"], p["ala"])
        m = mp.sqrt((1 + geo.bf * (rho - tau)) * (1 - rho - tau))
        return geo.ks - times * m

    low, high = 0.0, 85.0
    if excess(low) > 0:
        return None
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return low


def interior(count: int) -> list[dict]:
    """Uniform draws of the whole box."""
    draw = random.Random(20_270_115)
    box = {**TRAITS, **GEOMETRY}
    return [
        {name: draw.uniform(box[name].low, box[name].high) for name in USUAL} for _ in range(count)
    ]


def text(value: mp.mpf) -> str:
    """A decimal of 20 digits."""
    return mp.nstr(value, 20, min_fixed=-5, max_fixed=5)


def evaluate(group: str, given: dict, par: dict) -> dict:
    """One case: inputs, values at all wavelengths, slopes of rso."""
    leaf = given.get("leaf", "D")
    names = ("n_leaf", *reference.CONTENTS[leaf], *OTHER)
    values = {name: {**USUAL, **given}[name] for name in names}
    p = {name: mp.mpf(value) for name, value in values.items()}
    found = [reference.prosail(leaf, wavelength, p) for wavelength in WAVELENGTHS]
    verify_hot_spot(p)
    lit = [reference.prosail(leaf, node, p).absorbed for node in par]
    fapar, diffuse = (
        mp.fdot(x, [mp.mpf(w) for w in par.values()]) for x in zip(*lit, strict=True)
    )
    return {
        "group": group, "leaf": leaf, "values": values,
        **{
            name: [text(getattr(at, name)) for at in found]
            for name in reference.Canopy._fields if name != "absorbed"
        },
        "fapar": text(fapar), "fapar_diffuse": text(diffuse), "fcover": text(reference.fcover(p)),
        "slopes": {name: slopes(leaf, p, name) for name in names},
    }  # fmt: skip


def slopes(leaf: str, p: dict, name: str) -> list | None:
    """d rso / d name at the slope wavelengths, None on a ridge."""
    bounds = {"psoil": 1.0, "ala": 90.0}
    side = -1 if p[name] == bounds.get(name) else 1
    found = [_quotient(leaf, w, p, name, side * STEP) for w in SLOPE_WAVELENGTHS]
    if name in GEOMETRY:
        back = [_quotient(leaf, w, p, name, -STEP) for w in SLOPE_WAVELENGTHS]
        if any(abs(a - b) > 1e-9 * (1 + abs(a)) for a, b in zip(found, back, strict=True)):
            return None
    return [text(x) for x in found]


def _quotient(leaf: str, wavelength: float, p: dict, name: str, step: mp.mpf) -> mp.mpf:
    there = reference.prosail(leaf, wavelength, {**p, name: p[name] + step}).rso
    return (there - reference.prosail(leaf, wavelength, p).rso) / step


def verify_hot_spot(p: dict) -> None:
    """The series of the hot spot is the integral, to 25 digits."""
    geo = reference.geometry(p["tts"], p["tto"], p["psi"], p["ala"])
    alpha = reference.hot_spot_alpha(p["tts"], p["tto"], p["psi"], p["hspot"], geo)
    b, c = (geo.ks + geo.ko) * p["lai"], mp.sqrt(geo.ks * geo.ko) * p["lai"]
    series, _ = reference.hot_spot(alpha, b, c)
    if alpha == mp.inf:
        alpha = mp.mpf(10) ** 40
    with mp.workdps(30):
        assert abs(reference.hot_spot_by_quadrature(alpha, b, c) - series) < mp.mpf(10) ** -25


def scripts_sha256() -> str:
    """Of both scripts, one after the other."""
    both = (HERE / name for name in ("prosail_mpmath.py", "edge_cases.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in both)).hexdigest()


def main() -> None:
    """Evaluate every case and write the file."""
    par = dict(zip(*(x.tolist() for x in par_quadrature()), strict=True))
    groups = {**CASES, "k = m": resonances(), "inside the box": interior(20)}
    cases = [evaluate(group, given, par) for group, rows in groups.items() for given in rows]
    header = {
        "scripts_sha256": scripts_sha256(), "python": platform.python_version(),
        "mpmath": mp.__version__, "digits": reference.DIGITS,
    }  # fmt: skip
    whole = {
        "header": header, "wavelength": WAVELENGTHS, "slope_wavelength": SLOPE_WAVELENGTHS,
        "par": {"wavelength": list(par), "weight": list(par.values())}, "cases": cases,
    }  # fmt: skip
    (HERE / "edge_cases.json").write_text(lines(whole), encoding="utf-8")


def lines(whole: dict) -> str:
    """JSON with one case a line."""
    rows = ",\n".join(json.dumps(case) for case in whole["cases"])
    head = json.dumps({**whole, "cases": []}, indent=1)
    return head.removesuffix("[]\n}") + "[\n" + rows + "\n]}\n"


if __name__ == "__main__":
    main()
