"""Everything that only a GPU shows, in one run of at most eight minutes: `python benchmarks/gpu.py --out gpu.md`.

Kernels of attention by features of a head against double precision on the CPU; the encoder's loss and gradients against
the CPU's; training steps by size and precision with the engines that a study uses, their speed, share of the peak and
memory against the plan's; DeepSpeed against the plain engine. A part that fails, or for which no time is left, is a row
that says so, and the next part runs. `--device cpu --dry-run` goes through all of it at toy sizes in seconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import machine
import torch
from gpu_parts import SIZES, TOY_SIZES, Row, deepspeed_rows, exactness_rows, kernel_rows, speed_rows

from plmscale.plan.hardware.device_types import DEVICE_TYPES
from plmscale.plan.hardware.devices import same_device
from plmscale.training.calibrate import device_name

GOALS = {
    ("650M", "bf16"): "≥ 110,000 tokens/s on H200",
    ("150M", "bf16"): "≥ 330,000 tokens/s on H200 (133M-like)",
    ("35M", "bf16"): "≥ 25 % of the peak",
}
"""What the engine should reach; nothing is written here that was not asked of it before it was measured."""


@dataclass
class Session:
    """One run: where, for how long, and what came of it."""

    device: torch.device
    dry: bool
    ends: float
    tables: dict[str, list[Row]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def seconds_left(self) -> float:
        """Until the run should end."""
        return self.ends - time.monotonic()

    def part(self, title: str, rows: Callable[[], Iterator[Row]], *, least: float) -> None:
        """Run a part, unless less than `least` seconds are left; what it has found when it fails is kept."""
        table = self.tables.setdefault(title, [])
        if self.seconds_left < least:
            table.append({"result": "not measured: no time left"})
            return
        try:
            for row in rows():
                table.append(row)
                print(f"{title}: {json.dumps(row)}", file=sys.stderr, flush=True)
        except Exception as error:  # the other parts are worth having
            said = (str(error).splitlines() or [""])[0][:200]
            table.append({"result": f"failed: {type(error).__name__}: {said}"})
            self.failures.append(title)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def known_type(device: torch.device) -> str | None:
    """The type of a GPU in the plan's table."""
    if device.type != "cuda":
        return None
    return next((name for name in DEVICE_TYPES if same_device(name, device_name(device))), None)


def run(session: Session) -> None:
    """All parts, the cheap and sure ones first."""
    device, dry = session.device, session.dry
    sizes = TOY_SIZES if dry else SIZES
    kind = known_type(device)
    session.part("Attention by features of a head", lambda: kernel_rows(device, dry=dry), least=20)
    session.part("Exactness against the CPU", lambda: exactness_rows(device, dry=dry), least=20)
    for precision in ("bf16", "fp32"):
        for size in sizes:
            goal = GOALS.get((size.name, precision), "")
            session.part(
                "Training steps",
                lambda size=size, precision=precision, goal=goal: speed_rows(
                    size, precision, device=device, kind=kind, goal=goal, dry=dry
                ),
                least=15,
            )
    session.part("DeepSpeed against the plain engine", lambda: deepspeed_rows(sizes[1], device, dry=dry), least=30)


def page(session: Session, *, minutes: float) -> str:
    """The results as a page of markdown."""
    facts = machine.facts("torch", "deepspeed", "numpy")
    where = device_name(session.device) if session.device.type == "cuda" else "CPU"
    lines = ["# What only a GPU shows\n", f"`{' '.join(['python', 'benchmarks/gpu.py', *sys.argv[1:]])}`\n"]
    if session.dry:
        lines.append("**A dry run at toy sizes: its numbers say nothing about a GPU.**\n")
    lines.append(f"{where}, {', '.join(f'{name} {value}' for name, value in facts.items())}; {minutes:.1f} minutes.\n")
    for title, rows in session.tables.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines += [f"## {title}\n", machine.markdown([{name: row.get(name, "") for name in names} for row in rows])]
    return "\n".join(lines) + "\n"


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--dry-run", action="store_true", help="toy sizes: does every part run?")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins after about this time")
    parser.add_argument("--out", type=Path, help="markdown page to write")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that this torch can use; --device cpu --dry-run tries the script without one")
    if args.device == "cpu" and not args.dry_run:
        parser.error("--device cpu needs --dry-run: at full size it takes hours, and says nothing about a GPU")
    return args


def main() -> int:
    """Measure, print the page; the status is 1 if a part failed."""
    args = parse()
    os.environ.setdefault("DS_ACCELERATOR", args.device)
    began = time.monotonic()
    session = Session(torch.device(args.device), args.dry_run, began + 60 * args.minutes)
    run(session)
    text = page(session, minutes=(time.monotonic() - began) / 60)
    print(text, flush=True)
    if args.out:
        args.out.write_text(text)
    for title in dict.fromkeys(session.failures):
        print(f"failed: {title}", file=sys.stderr)
    return 1 if session.failures else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # as training ends: threads of gloo do not survive a finalising interpreter
