"""How fast a GPU makes features: python -m benchmarks.features_device [--device cuda].

The transform alone, of noise, in turns: by one processor core (`Transform`), and by the device in
batches as `dataset features --device` forms them, with the copies there and back. No decoding.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from beepwatch.train.featuring.batching import Batches
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.spectra import BLOCK_FRAMES, Transform, blocks
from beepwatch.train.featuring.work import one_thread
from benchmarks.features import HOP, MFCC, RATE_HZ, RECIPE, SIZE

RECIPES = {
    "log-mel": RECIPE.replace("FEATURES", '"logmel"'),
    "MFCC": RECIPE.replace("FEATURES", '"mfcc"') + MFCC,
    "magnitude": RECIPE.replace("FEATURES", '"magnitude"').partition("[mel]")[0]
    + '[normalisation]\nkind = "none"\n',
}


def main() -> None:
    """Measure, print a line for each kind of feature."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="of torch: cuda, cuda:1, cpu")
    parser.add_argument("--blocks", type=int, default=512, help=f"of {BLOCK_FRAMES} frames")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    device = torch.device("cuda:0" if options.device == "cuda" else options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} finds no GPU here.")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "torch on the processor"
    torch.set_num_threads(1)  # where the device is the processor, one core of it
    samples = options.blocks * BLOCK_FRAMES * HOP + SIZE
    sound = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    print(f"{name}; {samples / RATE_HZ / 60:.0f} min of noise, {SIZE} samples a frame, {HOP} a hop")
    for what, text in RECIPES.items():
        with TemporaryDirectory() as below:
            file = Path(below, "recipe.toml")
            file.write_text(text)
            recipe = read_feature_recipe(file)
        pieces = list(blocks([sound], recipe.frames))
        transform, batches = Transform(recipe), Batches(recipe, device)
        ratios = []
        with one_thread():
            for _ in range(options.times):
                begun = time.perf_counter()
                for one in pieces:
                    transform.rows(one)
                between = time.perf_counter()
                for _rows in batches.rows(pieces):
                    pass
                own_s, its_s = between - begun, time.perf_counter() - between
                ratios.append((own_s / its_s, own_s, its_s))
        batches.close()
        ratio, own_s, its_s = (statistics.median(each) for each in zip(*ratios, strict=True))
        low, high = min(ratios)[0], max(ratios)[0]
        print(
            f"  {what:10} one core {own_s:6.3f} s, device {its_s:6.3f} s: "
            f"{ratio:.2f} times as fast ({low:.2f} to {high:.2f})"
        )


if __name__ == "__main__":
    main()
