"""Communication as the plan counts it, with what others measured: all-reduce in a node and over several, and training.

    python benchmarks/communication.py --out benchmarks/results/communication.md

Reads the tables of `published/`, each of which names its source, and computes in seconds on any machine.

1. Bus bandwidth of one all-reduce: the model's over the published one.
2. BERT-large on 1 to 32 DGX A100, strong scaling: the share of a node's speed that is kept. The time of one node, less
   its communication, is what the nodes share; the model adds the communication of all devices, once a step.
3. Decoders under fully sharded data parallelism, 16 to 128 devices: the weights of each layer are gathered twice and
   its gradients summed. The model hides nothing of that behind computing, those runs hide what they can.
"""

import argparse
import csv
from collections.abc import Iterator
from math import exp, log
from pathlib import Path

import machine

from plmscale.plan.hardware.communication import Traffic, communication_seconds
from plmscale.plan.hardware.devices import Device, device_of
from plmscale.study.config import Hardware

PUBLISHED = Path(__file__).parent / "published"
PER_NODE = 8
BERT_LARGE_PARAMS = 336e6
BERT_WORDS = """The model keeps up to 0.02 more on up to 4 nodes and up to 0.04 more on up to 32, but for TF32 at 512
positions, where what was measured falls off as nothing in the model does, and as the same runs in fp16 or at 128
positions do not. What the optimizer takes once a step is not in the model; on one node it hides behind 32 and more
micro-batches."""

SHARDED_WORDS = """The model counts a ring's latency for each layer, which overlap hides, and no waiting for the slowest
device."""


def rows(name: str) -> list[dict[str, str]]:
    """A table of published measurements; the lines that begin with # say what they are."""
    lines = (PUBLISHED / f"{name}.tsv").read_text().splitlines()
    return list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))


def device(name: str) -> Device:
    """A type as the plan knows it."""
    return device_of(Hardware(name=name), "fp32")


def bus_bandwidth(name: str, devices: int, n_bytes: float, *, devices_per_node: int = PER_NODE) -> float:
    """GB/s of one all-reduce by the model, as NCCL's tests count it: 2(p - 1)/p of the bytes by the time."""
    traffic = Traffic(reduced=n_bytes, sums=1, gathered=0, calls=1)
    seconds = communication_seconds(traffic, devices, devices_per_node=devices_per_node, device=device(name))
    return 2 * (devices - 1) / devices * n_bytes / seconds / 1e9


def all_reduces() -> Iterator[tuple[dict[str, str], float, float]]:
    """Each published all-reduce with its bandwidth, GB/s, and the model's."""
    for row in rows("all_reduce"):
        each = int(row["devices_per_node"])
        told = bus_bandwidth(row["device"], int(row["devices"]), float(row["bytes"]), devices_per_node=each)
        yield row, float(row["measured"]), told


def bert() -> Iterator[tuple[dict[str, str], float, float]]:
    """Each published speed on several nodes with the share of a node's speed that is kept, and the model's."""
    single: dict[tuple[str, str], float] = {}
    for row in rows("bert_multi_node"):
        nodes = int(row["nodes"])
        seconds = int(row["batch"]) / float(row["sequences_per_second"])
        case = row["precision"], row["length"]
        single.setdefault(case, seconds)
        bytes_each = 2 if row["precision"] == "fp16" else 4
        traffic = Traffic(reduced=bytes_each * BERT_LARGE_PARAMS, sums=1, gathered=0, calls=1)
        alone, together = (
            communication_seconds(traffic, PER_NODE * n, devices_per_node=PER_NODE, device=device("A100-80GB"))
            for n in (1, nodes)
        )
        told = (single[case] - alone) / nodes + together
        if nodes > 1:
            yield row, single[case] / (nodes * seconds), single[case] / (nodes * told)


def sharded_seconds(n_params: float, n_layers: int, devices: int) -> float:
    """Seconds of a step's communication if none of it is hidden: layers and embedding one by one, in bf16."""
    units = n_layers + 1
    traffic = Traffic(reduced=0, sums=0, gathered=2 * n_params / units, calls=0)
    once = communication_seconds(traffic, devices, devices_per_node=PER_NODE, device=device("A100-40GB"))
    return 3 * units * once


def fully_sharded() -> Iterator[tuple[dict[str, str], float, float]]:
    """Each published speed with the share of that on the fewest devices, and the model's if nothing is hidden."""
    first: dict[str, tuple[float, float]] = {}
    for row in rows("fully_sharded"):
        seconds = int(row["tokens"]) / float(row["tokens_per_second_per_device"])
        sent = sharded_seconds(float(row["n_params"]), int(row["n_layers"]), int(row["devices"]))
        start, least = first.setdefault(row["model"], (seconds, sent))
        if seconds != start:
            yield row, start / seconds, start / (start - least + sent)


def page() -> str:
    """The page as Markdown."""
    bandwidths, nodes, sharded = list(all_reduces()), list(bert()), list(fully_sharded())
    ratios = [log(told / measured) for _, measured, told in bandwidths]
    typical = exp(sum(abs(one) for one in ratios) / len(ratios))
    return "\n\n".join(
        [
            "## Bus bandwidth of one all-reduce, GB/s",
            machine.markdown(
                [
                    {
                        "device": row["device"],
                        "devices": row["devices"],
                        "MiB": f"{float(row['bytes']) / 2**20:,.0f}",
                        "measured": f"{measured:g}",
                        "model": f"{told:.4g}",
                        "ratio": f"{told / measured:.2f}",
                        "source": row["source"],
                    }
                    for row, measured, told in bandwidths
                ]
            ).strip(),
            f"All within a factor of {exp(max(map(abs, ratios))):.2f}, typically (mean logarithm) {typical:.2f}.",
            "## BERT-large on several DGX A100: share of one node's speed that a node keeps",
            machine.markdown([_kept(row, "nodes", kept) for row, *kept in nodes]).strip(),
            BERT_WORDS,
            "## Fully sharded data parallelism on A100: share of the speed on 16 devices that a device keeps",
            machine.markdown([_kept(row, "devices", kept) for row, *kept in sharded]).strip(),
            SHARDED_WORDS,
        ]
    )


def _kept(row: dict[str, str], count: str, kept: list[float]) -> dict[str, str]:
    case = row.get("model") or f"{row['precision']}, {row['length']} positions"
    return {"case": case, count: row[count], "measured": f"{kept[0]:.3f}", "model": f"{kept[1]:.3f}"}


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    about = (__doc__ or "").partition("\n")[0]
    text = f"# {about}\n\n`python benchmarks/communication.py`\n\n{page()}\n"
    print(text)
    if out:
        out.write_text(text)


if __name__ == "__main__":
    main()
