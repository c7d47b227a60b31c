"""How long a training step takes with torch's convolutions and with ours, with and without kept memory.

    python benchmarks/training_step.py --output benchmarks/results/FILE.json

Each variant is a process of its own, since what the C library does with memory is decided for a whole process. They
take turns, in an order shuffled for each round; a turn's first steps are not counted. The networks have random weights
and see random pixels: what is computed does not depend on them.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.optim import AdamW

from agepred_train.convolution import Conv2d
from agepred_train.memory import keep_freed_memory
from agepred_train.network import make_network
from agepred_train.recipes import Recipe

VARIANTS = ("torch", "torch, kept memory", "ours", "ours, kept memory")
BATCH = 64
WARMUP = 3


def measure(variant: str, backbone: str, side: int, steps: int) -> list[float]:
    """Return the seconds that each step takes in this process."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if variant.endswith("kept memory"):
        keep_freed_memory()
    network = make_network(Recipe(name="benchmark", backbone=backbone)).to(memory_format=torch.channels_last)
    if variant.startswith("torch"):
        for module in network.modules():
            if isinstance(module, Conv2d):
                module._conv_forward = nn.Conv2d._conv_forward.__get__(module)
    optimizer = AdamW(network.parameters())
    pixels = torch.randint(0, 256, (BATCH, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    seconds = []
    for _ in range(WARMUP + steps):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(pixels).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return seconds[WARMUP:]


def compare(backbone: str, side: int, rounds: int, steps: int) -> dict[str, object]:
    """Return all times and their summary, JSON-ready."""
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    order = random.Random(0)
    for _ in range(rounds):
        for variant in order.sample(VARIANTS, len(VARIANTS)):
            command = [sys.executable, __file__, "--turn", variant, "--steps", str(steps)]
            command += ["--backbone", backbone, "--side", str(side)]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            times[variant] += json.loads(run.stdout)
            print(f"{backbone} {side}: {variant}: {statistics.median(times[variant]):.3f} s", file=sys.stderr)
    base = statistics.median(times[VARIANTS[0]])
    rows = [
        {
            "variant": variant,
            "median_s": statistics.median(values),
            "quartiles_s": statistics.quantiles(values, n=4)[::2],
            "of_the_time_of_torch": statistics.median(values) / base,
            "pictures_per_s": BATCH / statistics.median(values),
            "times_s": values,
        }
        for variant, values in times.items()
    ]
    return {"backbone": backbone, "crop_side": side, "variants": rows}


def main() -> None:
    """Measure one variant, or compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="where the result is written, JSON")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each variant (default 5)")
    parser.add_argument("--steps", type=int, default=8, help="counted steps of a turn (default 8)")
    parser.add_argument("--turn", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--backbone", default="mobilenet_v2", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=112, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(measure(options.turn, options.backbone, options.side, options.steps)))
        return
    pairs = (("mobilenet_v2", 112), ("efficientnet_lite2", 144))
    result = {
        "format": 1,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "batch": BATCH,
        "method": "processes take turns in shuffled order; the first 3 steps of a turn are not counted",
        "networks": [compare(backbone, side, options.rounds, options.steps) for backbone, side in pairs],
    }
    text = json.dumps(result, indent=1) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
