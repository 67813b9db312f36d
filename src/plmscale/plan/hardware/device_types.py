"""Known types of devices, so that a study can name one instead of its figures.

Peaks are those of dense matrix products: fp32 without tensor cores, TF32 and bf16 with them (half of what is printed
"with sparsity"). A type without such units computes TF32 as fp32. Bandwidths are those of one direction, which is half
of what is printed for both. Where cards are joined by PCI Express, it is the bandwidth between them, also if bridges
can join two of them; on more than two of them, and without direct copies between cards, the host's memory is the
bottleneck, and `hardware.link_gb_s` should be set (NVIDIA/nccl#1639: eight cards of PCI Express 5 reach 28 GB/s).

Compared in November 2026 with what could be read of the sources named, or with tables that cite them
(stas00/ml-engineering, compute/accelerator and network, August 2026; Lightning's `throughput.py`; MLPerf system
descriptions). Found in neither: A30, and the peaks of H100-NVL; of A10 and V100 memory, power and number of
multiprocessors; of DGX-1 and DGX A100 the adapters. Peaks on tensor cores of RTX-3090, RTX-A6000, RTX-6000-Ada and
RTX-PRO-6000 follow from what their sheets print (fp32, fp8 or fp4 with sparsity) by the ratios of the chip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PCIE_4, PCIE_5 = 31.5, 63.0
"""GB/s a direction of 16 lanes (PCI-SIG: 16 and 32 GT/s a lane, 128b/130b)."""

ONE_ADAPTER = 12.5
"""GB/s of a node to others where no reference system of the vendor says: one adapter of 100 Gb/s, an assumption."""

MULTIPROCESSORS = 108
"""Of a type that is not known: those of an A100."""


@dataclass(frozen=True)
class DeviceType:
    """What a data sheet says of a type of device.

    Attributes
    ----------
    fp32, tf32, bf16 : float or None
        Peak in TFLOP/s; None: not supported.
    memory_gib : float
        Memory, as it is sold.
    watts : float
        Largest power draw (TDP).
    multiprocessors : int
        Streaming multiprocessors (AMD: compute units).
    link : float
        GB/s to all other devices of the node together, one direction.
    network : float or None
        GB/s to other nodes for each device in the vendor's own system, one direction; None: there is none.
    reported : str
        Regular expression that what the driver calls the device must match.
    source : str
        Where the figures are from.
    peers : int or None
        Other devices of a node that `link` is divided among, each joined by a part of its own; None: a switch gives
        each of them the whole.
    """

    fp32: float
    tf32: float
    bf16: float | None
    memory_gib: float
    watts: float
    multiprocessors: int
    link: float
    network: float | None
    reported: str
    source: str
    peers: int | None = None


V100, A100, H100 = (15.7, 15.7, None), (19.5, 156, 312), (67, 494.5, 989.5)
DGX_1, DGX_A100, DGX_H100 = "DGX-1: 4 × 100 Gb/s", "DGX A100: 8 × 200 Gb/s", "DGX H100: 8 × 400 Gb/s"
GA102, ADA = "NVIDIA GA102 architecture paper 2.0, 2021", "NVIDIA Ada architecture paper, 2022"

DEVICE_TYPES: Mapping[str, DeviceType] = MappingProxyType(
    {
        "V100-16GB": DeviceType(
            *V100, 16, 300, 80, 150, 6.25, r"V100.*16GB", f"NVIDIA V100 data sheet, 2020: SXM2; {DGX_1}"
        ),
        "V100-32GB": DeviceType(
            *V100, 32, 300, 80, 150, 6.25, r"V100.*32GB", f"NVIDIA V100 data sheet, 2020: SXM2; {DGX_1}"
        ),
        "A10": DeviceType(31.2, 62.5, 125, 24, 150, 72, PCIE_4, None, r"A10\b", "NVIDIA A10 data sheet, 2021"),
        "A30": DeviceType(10.3, 82, 165, 24, 165, 56, PCIE_4, None, r"A30\b", "NVIDIA A30 data sheet, 2022"),
        "A40": DeviceType(37.4, 74.8, 149.7, 48, 300, 84, PCIE_4, None, r"A40\b", "NVIDIA A40 data sheet, 2022"),
        "A100-40GB": DeviceType(
            *A100, 40, 400, 108, 300, 25, r"A100.*40GB", f"NVIDIA A100 data sheet, 2021: SXM4; {DGX_A100}"
        ),
        "A100-80GB": DeviceType(
            *A100, 80, 400, 108, 300, 25, r"A100.*80GB", f"NVIDIA A100 data sheet, 2021: SXM4; {DGX_A100}"
        ),
        "L4": DeviceType(30.3, 60, 121, 24, 72, 58, PCIE_4, None, r"L4\b", "NVIDIA L4 data sheet, 2023"),
        "L40S": DeviceType(91.6, 183, 362, 48, 350, 142, PCIE_4, None, r"L40S", "NVIDIA L40S data sheet, 2023"),
        "RTX-3090": DeviceType(35.6, 35.6, 71.2, 24, 350, 82, PCIE_4, None, r"RTX 3090$", f"{GA102}, appendix A"),
        "RTX-4090": DeviceType(82.6, 82.6, 165.2, 24, 450, 128, PCIE_4, None, r"RTX 4090$", ADA),
        "RTX-A6000": DeviceType(38.7, 77.4, 154.8, 48, 300, 84, PCIE_4, None, r"RTX A6000", f"{GA102}, appendix C"),
        "RTX-6000-Ada": DeviceType(
            91.1, 182.1, 364.2, 48, 300, 142, PCIE_4, None, r"RTX 6000 Ada", "NVIDIA RTX 6000 Ada data sheet, 2023"
        ),
        "RTX-PRO-6000": DeviceType(
            126,
            251.9,
            503.8,
            96,
            600,
            188,
            PCIE_5,
            None,
            r"RTX PRO 6000 Blackwell (Work|Serv)",
            "NVIDIA RTX Blackwell PRO architecture paper, 2025: Workstation Edition",
        ),
        "H100": DeviceType(
            *H100, 80, 700, 132, 450, 50, r"H100.*HBM3", f"NVIDIA H100 data sheet, 2023: SXM5; {DGX_H100}"
        ),
        "H100-PCIe": DeviceType(
            51, 378, 756, 80, 350, 114, PCIE_5, None, r"H100 PCIe", "NVIDIA H100 data sheet, 2023: PCIe"
        ),
        "H100-NVL": DeviceType(
            60, 417.5, 835.5, 94, 400, 132, PCIE_5, None, r"H100 NVL", "NVIDIA H100 data sheet, 2024: NVL"
        ),
        "H200": DeviceType(
            *H100,
            141,
            700,
            132,
            450,
            50,
            r"\bH200(?! NVL)",
            "NVIDIA H200 data sheet, 2024: SXM5; DGX H200: 8 × 400 Gb/s",
        ),
        "GH200": DeviceType(
            *H100,
            96,
            1000,
            132,
            450,
            25,
            r"GH200",
            "NVIDIA GH200 data sheet, 2024: 96 GB, power with its CPU; Alps: four a node, 200 Gb/s each",
            peers=3,
        ),
        "B200": DeviceType(
            75, 1125, 2250, 180, 1000, 148, 900, 50, r"\bB200", "NVIDIA HGX B200 and DGX B200 data sheets, 2025"
        ),
        "B300": DeviceType(
            75,
            1125,
            2250,
            268,
            1100,
            148,
            900,
            100,
            r"\bB300",
            "NVIDIA HGX B300 and DGX B300 data sheets, 2025: 2.1 TB in eight, 275,040 MiB reported; 8 × 800 Gb/s",
        ),
        "MI300X": DeviceType(
            163.4, 653.7, 1307.4, 192, 750, 304, 448, 50, r"MI300X", "AMD Instinct MI300X data sheet, 2023", peers=7
        ),
    }
)
"""Types by the name that `hardware.name` gives. GH200: each pair of a node of four has six links of NVLink 4, 150 GB/s
(De Sensi et al. 2024, arXiv:2408.14090). MI300X: seven links of 64 GB/s, one to each other device; nothing of this
package was run on it."""
