"""Not in the paper: model selection by SplitLBI, by linearised Bregman iteration, by the Lasso.

Paths on designs that satisfy and violate the irrepresentable condition (IRR), population and with
noise, and from which nu on SplitLBI's path has the true model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style
from figures.record import Claim, Setting, Settings, seed_for
from refgrow import splitlbi, splitlbi_theory

ID = "LBI-Selection-new"
STATEMENTS = ("LBI-Selection-new",)
TITLE = "Model selection: paths of the Lasso, linearised Bregman and SplitLBI, by IRR and nu"

TRUTH = np.array([1.0, 1.0, 0.0])
SUPPORT, SIGNS = [0, 1], [1.0, 1.0]
LABELS = ("first, true", "second, true", "third, false")
COLOURS = (style.BLUE, style.SKY, style.VERMILION)
NONZERO = 1e-9  # coefficients of order one
REACH = 10  # how long iterations on noisy draws are run, in times of the first entry
MARGIN = 0.02  # how far from nu* we test, relative to it


def settings(full: bool) -> Settings:
    return {
        "rhos": Setting([0.45, 0.6], "ours", "correlation of the false with each true: paths"),
        "violating": Setting([0.55, 0.6, 0.65], "ours", "those whose IRR 2 rho is above one"),
        "nus": Setting([0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0], "ours"),
        "large": Setting(10.0, "ours", "the paper's default for small images"),
        "samples": Setting(200, "ours", "noise of variance one"),
        "draws": Setting(400 if full else 30, "ours"),
        "designs": Setting(2000 if full else 150, "ours", "random Gaussian, 4 x 6 and 6 x 4"),
        "kappa": Setting(100.0, "ours", "of the paths that are drawn; the shares of the exact "
                         "path, and nu*, are at kappa = infinity"),
        "kappas": Setting([1.0, 10.0, 100.0], "paper", "of the iteration on the noisy draws; "
                          "its 1 and 10, and a larger one"),
        "seeds": Setting([0], "ours"),
    }  # fmt: skip


def design(rho: float) -> np.ndarray:
    """Two uncorrelated true variables, and a false one that has correlation rho with each."""
    return np.array([[1, 0, rho], [0, 1, rho], [rho, rho, 1]])


def from_which_nu(rho: float) -> float:
    """nu*: IRR(nu) = 2 rho / (1 + nu (1 - 2 rho^2)) is one there."""
    return (2 * rho - 1) / (1 - 2 * rho**2)


# A design whose IRR is 0.95 at nu = 0 and above one at nu = 0.1: the blocks of its inverse.
def not_weaker() -> np.ndarray:
    """One true variable, two false ones."""
    u, w = np.array([2.0, -1.0]) / 5**0.5, np.array([1.0, 2.0]) / 5**0.5
    K = 0.01 * np.outer(u, u) + 10 * np.outer(w, w)
    pull = -np.linalg.solve(np.eye(2), K @ np.array([0.95, 0.9]))
    top = 1.0 + pull @ np.linalg.solve(K, pull)
    return np.linalg.inv(np.block([[np.array([[top]]), pull[None]], [pull[:, None], K]]))


def sample(rho: float, samples: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """X^T X / n, and the least squares fit, of n noisy samples."""
    rng = np.random.default_rng(seed_for("selection", str(rho), draw))
    X = rng.normal(size=(samples, 3)) @ np.linalg.cholesky(design(rho)).T
    y = X @ TRUTH + rng.normal(size=samples)
    S = X.T @ X / samples
    return S, np.linalg.solve(S, X.T @ y / samples)


def lasso(S: np.ndarray, beta: np.ndarray, lams: np.ndarray) -> np.ndarray:
    """Minimisers of (x - beta)^T S (x - beta) / 2 + lam |x|_1, by coordinate descent, (k, p)."""
    x, pull, found = np.zeros(len(beta)), S @ beta, []
    for lam in lams:
        for _ in range(1000):
            before = x.copy()
            for j in range(len(x)):
                r = pull[j] - S[j] @ x + S[j, j] * x[j]
                x[j] = np.sign(r) * max(abs(r) - lam, 0.0) / S[j, j]
            if np.abs(x - before).max() < 1e-13:
                break
        found.append(x.copy())
    return np.array(found)


def lasso_meets(S: np.ndarray, beta: np.ndarray) -> bool:
    """Whether the Lasso has the true signed support at some lam > 0: its optimality conditions.

    On the support x = beta' - lam S_SS^-1 s, beta' the fit on it alone; outside, the correlation
    with the residual is a + lam u. Both are linear in lam, so an interval of lam remains.
    """
    T = np.flatnonzero(TRUTH)
    c = np.flatnonzero(TRUTH == 0)
    s, pull = np.sign(TRUTH[T]), S @ beta
    fit = np.linalg.solve(S[np.ix_(T, T)], np.column_stack([pull[T], s]))
    low, high = 0.0, np.inf
    for x, shrink in s[:, None] * fit:  # x - lam shrink > 0
        if shrink > 0:
            high = min(high, x / shrink)
        elif shrink < 0:
            low = max(low, x / shrink)
        elif x <= 0:
            return False
    a = pull[c] - S[np.ix_(c, T)] @ fit[:, 0]
    u = S[np.ix_(c, T)] @ fit[:, 1]
    for at, slope in ((a, u), (-a, -u)):  # at + lam slope <= lam
        for x, y in zip(at, 1 - slope, strict=True):
            if y > 0:
                low = max(low, x / y)
            elif y < 0:
                high = min(high, x / y)
            elif x > 0:
                return False
    return bool(low < high)


def bregman(S: np.ndarray, beta: np.ndarray, kappa: float, steps: int, alpha: float) -> np.ndarray:
    """Linearised Bregman iteration without splitting: Gamma (steps + 1, p)."""
    V, Gamma = np.zeros(len(beta)), np.zeros(len(beta))
    found = [Gamma]
    for _ in range(steps):
        V = V + alpha * S @ (beta - Gamma)
        Gamma = kappa * (V - np.clip(V, -1, 1))
        found.append(Gamma)
    return np.array(found)


def paths(S: np.ndarray, beta: np.ndarray, nu: float, kappa: float) -> dict[str, Any]:
    """By method: what the path is drawn against, one at the first entry, and the coefficients."""
    top = float(np.abs(S @ beta).max())
    reach = np.geomspace(0.8, 30, 120)
    A = splitlbi_theory.split_hessian(S, nu)
    first = 1 / float(np.abs(A @ beta).max())
    alpha = 0.5 * 2 / (kappa * float(np.linalg.eigvalsh(S)[-1]))
    plain = bregman(S, beta, kappa, int(30 / top / alpha), alpha)
    step = 0.5 * splitlbi.largest_step(float(np.linalg.eigvalsh(S)[-1]), nu, kappa)
    state = splitlbi.init(np.zeros(len(beta)), step=step, nu=nu, kappa=kappa)
    split = splitlbi.run(state, S, S @ beta, steps=int(30 * first / step)).path
    return {
        "Lasso": (reach, lasso(S, beta, top / reach)),
        "linearised Bregman": (np.arange(len(plain)) * alpha * top, plain),
        "SplitLBI": (split.steps * step / first, split.Gamma),
    }


def meets(S: np.ndarray, beta: np.ndarray, nu: float) -> tuple[bool, bool]:
    """Whether the path at kappa = infinity has the true signed support, and ever a false one."""
    path = splitlbi_theory.inverse_scale_space(S, beta, nu).Gamma
    signs = np.where(np.abs(path) > NONZERO, np.sign(path), 0)
    right = (signs == np.sign(TRUTH)).all(axis=1).any()
    return bool(right), bool((signs[:, TRUTH == 0] != 0).any())


def draws(*, rho: float, samples: int, draws: int, nus: list[float]) -> dict[str, Any]:
    """Which noisy samples' paths meet the true model: by the Lasso, and by nu."""
    found, by_lasso = [], []
    for draw in range(draws):
        S, beta = sample(rho, samples, draw)
        by_lasso.append(lasso_meets(S, beta))
        found.append([meets(S, beta, nu)[0] for nu in nus])
    return {"lasso": np.array(by_lasso), "split": np.array(found)}


def iterated(*, rho: float, samples: int, draws: int, nu: float, kappas: list[float]) -> Any:
    """Which noisy samples' iterations (eq 4, from zero) meet the true model, by kappa.

    Up to REACH times the time at which the exact path has its first entry, at half the largest
    proven step; signs are looked at ten times in a unit of W's time.
    """
    found = []
    for draw in range(draws):
        S, beta = sample(rho, samples, draw)
        top = float(np.linalg.eigvalsh(S)[-1])
        first = 1 / float(np.abs(splitlbi_theory.split_hessian(S, nu) @ beta).max())
        row = []
        for kappa in kappas:
            step = 0.5 * splitlbi.largest_step(top, nu, kappa)
            state = splitlbi.init(np.zeros(len(beta)), step=step, nu=nu, kappa=kappa)
            steps, every = int(REACH * first / step), max(1, int(0.1 / (kappa * step)))
            Gamma = splitlbi.run(state, S, S @ beta, steps=steps, every=every).path.Gamma
            row.append(bool((np.sign(Gamma) == np.sign(TRUTH)).all(axis=1).any()))
        found.append(row)
    return {"met": np.array(found)}


def random_designs(*, rows: int, columns: int, designs: int, nus: list[float]) -> dict[str, Any]:
    """IRR of random Gaussian designs, two true variables of random sign, by nu: (designs, nus)."""
    rng = np.random.default_rng(seed_for("selection", "designs", rows, columns))
    found = []
    for _ in range(designs):
        X = rng.normal(size=(rows, columns))
        signs = rng.choice([-1.0, 1.0], size=2)
        S = X.T @ X / rows
        found.append([splitlbi_theory.irrepresentable(S, [0, 1], signs, nu) for nu in nus])
    return {"irr": np.array(found)}


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    value = {name: setting.value for name, setting in settings.items()}
    nus, rhos = value["nus"], sorted({*value["rhos"], *value["violating"]})
    shared = {"samples": value["samples"], "draws": value["draws"], "nus": nus}
    noisy = run(draws, [{"rho": rho, **shared} for rho in rhos])
    finite = {"samples": value["samples"], "draws": value["draws"], "nu": value["large"]}
    real = run(iterated, [{"rho": rho, "kappas": value["kappas"], **finite}
                          for rho in value["violating"]])  # fmt: skip
    sizes = ((6, 4), (4, 6))
    random = run(random_designs, [
        {"rows": n, "columns": p, "designs": value["designs"], "nus": nus} for n, p in sizes
    ])  # fmt: skip
    drawn = {}
    for rho in value["rhos"]:
        problems = {"population": (design(rho), TRUTH), "noisy": sample(rho, value["samples"], 0)}
        drawn[rho] = {name: paths(*problem, value["large"], value["kappa"])
                      for name, problem in problems.items()}  # fmt: skip
    grid = np.geomspace(0.01, 100, 200)
    curves = {f"rho = {rho:g}": [irr(design(rho), nu) for nu in grid] for rho in rhos}
    curves["not weaker"] = [
        splitlbi_theory.irrepresentable(not_weaker(), [0], [1.0], nu) for nu in grid
    ]
    return {
        "large": value["large"],
        "nus": nus,
        "violating": value["violating"],
        "paths": drawn,
        "grid": grid,
        "curves": {name: np.array(curve) for name, curve in curves.items()},
        "noisy": dict(zip(rhos, noisy, strict=True)),
        "kappas": value["kappas"],
        "iterated": {rho: one["met"] for rho, one in zip(value["violating"], real, strict=True)},
        "edge": {rho: [meets(design(rho), TRUTH, factor * from_which_nu(rho))
                       for factor in (1 - MARGIN, 1 + MARGIN)]
                 for rho in (*value["violating"], 0.7)},
        "lasso": {rho: lasso_meets(design(rho), TRUTH) for rho in rhos},
        "random": {f"{n} x {p}": found["irr"] for (n, p), found in zip(sizes, random, strict=True)},
    }  # fmt: skip


def irr(S: np.ndarray, nu: float) -> float:
    """IRR(nu) of the designs of `design`."""
    return splitlbi_theory.irrepresentable(S, SUPPORT, SIGNS, nu)


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(3, 3, size=(style.PAGE, 6.4))
    for row, (rho, drawn) in zip(axes, data["paths"].items(), strict=False):
        for axis, method in zip(row, drawn["population"], strict=True):
            for kind, look in (("population", {"linewidth": 1.6}),
                               ("noisy", {"linewidth": 0.9, "linestyle": "--"})):  # fmt: skip
                at, values = drawn[kind][method]
                for j, colour in enumerate(COLOURS):
                    label = LABELS[j] if kind == "population" else None
                    axis.plot(at, values[:, j], color=colour, label=label, **look)
            name = f"{method}, nu = {data['large']:g}" if method == "SplitLBI" else method
            axis.set(xscale="log", xlim=(0.8, 30), title=f"{name}; IRR {2 * rho:.1f}",
                     xlabel="largest lambda / lambda" if method == "Lasso"
                     else "time / time of the first entry")  # fmt: skip
        row[0].set_ylabel("coefficient")
    for kind, line in (("population", "-"), ("noisy", "--")):
        axes[0, 0].plot([], [], line, color=style.GREY, label=kind)
    style.legend(figure, axes[0, 0], columns=5)
    _conditions(axes[2], data)
    return figure


def _conditions(axes: Any, data: dict[str, Any]) -> None:
    left, middle, right = axes
    shades = (style.GREEN, style.SKY, style.BLUE, style.PURPLE, style.VERMILION)
    for (name, curve), colour in zip(data["curves"].items(), shades, strict=True):
        line = "--" if name == "not weaker" else "-"
        left.semilogx(data["grid"], curve, color=colour, linestyle=line, label=name)
    left.axhline(1, color=style.BLACK, linewidth=0.7)
    left.set(xlabel="nu", ylabel="IRR(nu)", title="condition at kappa = infinity")
    left.legend(fontsize=6, handlelength=1.2, loc="lower left")
    at = np.maximum(data["nus"], 0.03)
    for (rho, found), colour in zip(data["noisy"].items(), shades, strict=False):
        share = found["split"].mean(axis=0)
        middle.semilogx(at, share, color=colour, marker="o", label=f"rho = {rho:g}")
        middle.plot(at[0] * 0.6, found["lasso"].mean(), marker="x", color=colour, linestyle="")
    middle.set(xlabel="nu (left end: 0)", ylabel="share of noisy draws", ylim=(0, 1.05),
               title="path at kappa = infinity meets\nthe true model (crosses: Lasso)")  # fmt: skip
    middle.legend()
    for (name, values), line in zip(data["random"].items(), ("-", "--"), strict=True):
        right.semilogx(at, (values < 1).mean(axis=0), line, color=style.BLACK, label=name)
    right.set(xlabel="nu (left end: 0, Lasso)", ylabel="share with IRR(nu) < 1", ylim=(0, 1.05),
              title="random designs, n x p")  # fmt: skip
    right.legend()


def claims(data: dict[str, Any]) -> list[Claim]:
    k = data["nus"].index(data["large"])
    noisy = {rho: data["noisy"][rho] for rho in data["violating"]}
    tall, wide = data["random"].values()
    broken = wide[:, 0] > 1
    return [
        Claim.judged(
            ID,
            "where IRR is violated, the Lasso has the true model at no lambda; population",
            [not data["lasso"][rho] for rho in data["violating"]],
            number={f"{rho:g}": met for rho, met in data["lasso"].items()},
        ),
        Claim.judged(
            ID,
            "where IRR is violated, SplitLBI lets in no false variable from nu* on, and one just "
            "below; population, kappa = infinity",
            [false == (side == 0) and (right or side == 0)
             for found in data["edge"].values() for side, (right, false) in enumerate(found)],
            number={"nu*": {f"{rho:g}": from_which_nu(rho) for rho in data["edge"]},
                    "tested at": [1 - MARGIN, 1 + MARGIN]},
        ),
        Claim.judged(
            ID,
            "where IRR is violated, the exact path of SplitLBI at kappa = infinity meets the true "
            f"model on noisy data; nu = {data['large']:g}",
            np.concatenate([found["split"][:, k] for found in noisy.values()]),
            number={
                f"{rho:g}": {
                    "Lasso": float(found["lasso"].mean()),
                    **{f"nu = {nu:g}": float(share) for nu, share in
                       zip(data["nus"], found["split"].mean(axis=0), strict=True)},
                }
                for rho, found in data["noisy"].items()
            },
            depends_on="On nu against nu*: at nu = 0 and at a small one it is no better than the "
            "Lasso.",
        ),
        Claim.judged(
            ID,
            "where IRR is violated, the iteration of SplitLBI at a finite kappa meets the true "
            f"model on noisy data; kappa = {', '.join(f'{k:g}' for k in data['kappas'])}; "
            f"nu = {data['large']:g}",
            np.concatenate([met.ravel() for met in data["iterated"].values()]),
            number={
                f"{rho:g}": {f"kappa = {k:g}": float(share) for k, share in
                             zip(data["kappas"], met.mean(axis=0), strict=True)}
                for rho, met in data["iterated"].items()
            },
            depends_on="On kappa where nu is near nu*, which is larger at a finite one: fewer at a "
            "small kappa.",
        ),
        Claim.judged(
            ID,
            "the condition of SplitLBI is weaker than the Lasso's at every nu: random designs with "
            "more samples than variables",
            (tall <= tall[:, :1]).all(axis=1),
            number={
                "share with IRR(nu) <= IRR(0), by nu": (tall <= tall[:, :1]).mean(axis=0).tolist(),
                "share with IRR(nu) < 1, by nu": (tall < 1).mean(axis=0).tolist(),
                "a design: IRR at nu = 0 and 0.1": [
                    splitlbi_theory.irrepresentable(not_weaker(), [0], [1.0], nu)
                    for nu in (0.0, 0.1)
                ],
            },
            depends_on="On the design: about one in a hundred of those drawn has a higher IRR at "
            "some nu than at zero.",
        ),
        Claim.judged(
            ID,
            "in over-parameterised models splitting repairs a violated condition: random designs "
            f"with fewer samples than variables, nu = {data['nus'][-1]:g}",
            wide[broken, -1] < 1,
            number={
                "share with IRR(nu) < 1, by nu": (wide < 1).mean(axis=0).tolist(),
                "share that a large nu spoils": float((wide[~broken, -1] >= 1).mean()),
            },
            depends_on="On the range of the Hessian: nu A tends to the projector on it, which need "
            "not satisfy the condition.",
        ),
    ]  # fmt: skip


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (rho, kind, method, float(t), *map(float, x))
        for rho, drawn in data["paths"].items()
        for kind, methods in drawn.items()
        for method, (at, values) in methods.items()
        for t, x in list(zip(at, values, strict=True))[:: max(1, len(at) // 300)]
    ]
    shares = [
        (rho, nu, float(share), float(found["lasso"].mean()))
        for rho, found in data["noisy"].items()
        for nu, share in zip(data["nus"], found["split"].mean(axis=0), strict=True)
    ]
    return {
        "paths": (("rho", "data", "method", "at", "first", "second", "third"), rows),
        "noisy": (("rho", "nu", "share", "share_of_lasso"), shares),
    }
