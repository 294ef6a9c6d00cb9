"""Time the merge of one decoder layer's matrices beside the decompositions that a method works on.

python tests/timing/method_speed.py [--scale 4] [--methods tsv_m iso_c ...]

Random matrices of Qwen2.5-7B's shapes, every side divided by `--scale`. Kept spectra are given, as a study
gives them; "own" is what decomposing them takes once, and what the method decomposes while it merges. Methods
without spectra are compared with one pass over the layer, inject.
"""

import argparse
import time
from collections.abc import Callable

import torch

from frism.method import discovery
from frism.method.site import Site
from frism.spectra.spectrum import Spectrum, decompose

SHAPES = {"q": (3584, 3584), "k": (512, 3584), "v": (512, 3584), "o": (3584, 3584),
          "gate": (18944, 3584), "up": (18944, 3584), "down": (3584, 18944)}  # fmt: skip
KINDS = ("lrm", "vlm", "sum")


def measure(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--methods", nargs="+", default=None)
    arguments = parser.parse_args()
    names = arguments.methods or [
        name for name, method in ((n, discovery.find(n)) for n in discovery.list_names())
        if not method.needs - {"spectrum", "seed"} and not (method.fit or method.mix)
    ]  # fmt: skip
    spent: dict[str, dict[str, float]] = {name: {"merge": 0.0, "kept": 0.0, "inside": 0.0} for name in names}
    for part, shape in SHAPES.items():
        sizes = tuple(size // arguments.scale for size in shape)
        generator = torch.Generator().manual_seed(len(part))
        base = torch.randn(sizes, generator=generator)
        vlm, lrm = (base + 0.02 * torch.randn(sizes, generator=generator) for _ in range(2))
        spectra: dict[str, Spectrum] = {}
        seconds = {}
        for kind, tau in zip(KINDS, (lrm - base, vlm - base, vlm + lrm - 2 * base), strict=True):
            start = time.perf_counter()
            spectra[kind] = decompose(tau)
            seconds[kind] = time.perf_counter() - start
        for name in names:
            method, read = discovery.find(name), set()
            params = method.validate({})

            def give(of: str, read: set[str] = read, spectra: dict[str, Spectrum] = spectra) -> Spectrum:
                read.add(of)
                return spectra[of]

            arrays = {"base": base, "vlm": vlm, "lrm": lrm}
            site = Site(
                arrays.__getitem__, spectrum=give, rng=lambda: torch.Generator().manual_seed(0), name=part
            )
            spent[name]["merge"] += measure(lambda m=method, s=site, p=params: m.run_merge(s, p))
            spent[name]["kept"] += sum(seconds[of] for of in read)
            spent[name]["inside"] += method.svds * seconds["lrm"]
    plain = spent.get("inject", {"merge": float("nan")})["merge"]
    print(f"{'method':22s} merge s   to its own decompositions   to inject")
    for name, found in sorted(spent.items(), key=lambda pair: pair[1]["merge"]):
        own = found["kept"] + found["inside"]
        ratio = f"{found['merge'] / own:10.2f}" if own else "         -"
        print(f"{name:22s} {found['merge']:7.2f} {ratio} {found['merge'] / plain:28.1f}")


if __name__ == "__main__":
    main()
