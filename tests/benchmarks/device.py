"""What a GPU makes of this project: its tests, its accuracy, and its speed at the size of Qwen2.5-0.5B.

    python tests/benchmarks/device.py                 # on a CUDA device, at most 8 minutes
    python tests/benchmarks/device.py --device cpu    # the same code on tiny dimensions, to see that it runs
    python tests/benchmarks/device.py --draw FILE     # only the picture of a report

It needs no network and no more than torch, transformers and what they bring; a part whose packages are missing, or for
which no time is left, is skipped and says so. Every part is written to the report as soon as it is done. The exit code
is 1 if a part failed or a target was missed.

tests       everything marked ``gpu``
accuracy    the kernel of a model of 47 million parameters against gradients written out in float64 on the CPU
kernel      N sequences of 100 tokens under a model of Qwen2.5-0.5B's dimensions: seconds and bytes, beside the forward
            and backward pass over the same sequences in batches that fit (the floor of any kernel)
audit       pairs a second beside a DPO training step (policy, reference, AdamW) on the same pairs, in bfloat16 as
            trainers take it, and beside a plain forward and backward pass in float32, the precision of the audit
shift       the predicted change of all 151,936 next-token probabilities
probe       the kernel of the responses to "11 x 12" of the model that comes with this project
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the machine may have no more than the folder

import torch
from device_parts import PARTS, REAL, TINY, Run, forget
from device_picture import draw
from environment import write_report

LIMIT = 480
"""Seconds for everything."""


def main(given: Sequence[str] | None = None) -> int:
    """Run the parts one after another, and write the report after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for tiny dimensions")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/device.json"))
    parser.add_argument("--draw", type=Path, metavar="FILE", help="draw the picture of a report, and measure nothing")
    arguments = parser.parse_args(given)
    if arguments.draw is not None:
        draw(json.loads(arguments.draw.read_text(encoding="utf-8")), arguments.draw.with_suffix(".png"))
        return 0
    if torch.device(arguments.device).type == "cuda" and not torch.cuda.is_available():
        print("torch sees no CUDA device; --device cpu runs the same code on tiny dimensions", file=sys.stderr)
        return 2
    on_cpu = torch.device(arguments.device).type == "cpu"
    run = Run(arguments.device, TINY if on_cpu else REAL, [])
    begun = time.perf_counter()
    parts: dict[str, Any] = {}
    report = {"device": name_of(arguments.device), "parts": parts, "targets": run.targets}
    broken = False
    for name in arguments.parts:
        started = time.perf_counter()
        left = LIMIT - (started - begun)
        if left < 20:
            parts[name] = {"skipped": "no time is left"}
            print(f"{name}: skipped, no time is left")
            continue
        print(f"{name}:", flush=True)
        try:
            parts[name] = {"found": PARTS[name](run)}
        except ImportError as problem:
            parts[name] = {"skipped": f"the package {problem.name} is missing"}
            print(f"  skipped: the package {problem.name} is missing")
        except Exception:  # the other parts are still worth their time
            parts[name] = {"failed": traceback.format_exc()}
            broken = True
            print(parts[name]["failed"])
        parts[name]["seconds"] = time.perf_counter() - started
        forget(None, arguments.device)
        write_report(arguments.out, report)
    for target in run.targets:
        print(f"{'hit ' if target['pass'] else 'MISS'}  {target['what']}: {target['value']:.3g} ({target['wanted']})")
    print(f"{time.perf_counter() - begun:.0f} s; written to {arguments.out}")
    try:
        draw(report, arguments.out.with_suffix(".png"))
    except ImportError as problem:
        print(f"no picture, because the package {problem.name} is missing; draw it elsewhere with --draw")
    return int(broken or not all(target["pass"] for target in run.targets))


def name_of(device: str) -> str:
    """Return the name of a device."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "CPU, tiny dimensions"


if __name__ == "__main__":
    sys.exit(main())
