"""What share of a device's peak training is assumed to reach, until `plmscale calibrate` has measured it.

Published records say it by size for some types and precisions. For the rest there is one number a precision. No record
was found for sizes below 100 million parameters, for TF32 without padding among the tokens, or for fp32 but on V100.

Rows of llm-foundry and the share of BioNeMo were compared with their pages in November 2026. The fp32 row is of release
19.07, which could not be read again. The page of 21.11 has 19 sequences of 512 a second, which by this count of FLOPs
is beyond the peak: it must leave out padding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

UTILISATION: Mapping[str, float] = MappingProxyType({"fp32": 0.5, "tf32": 0.35, "bf16": 0.35})
"""Share of the peak by precision where nothing is published for the size: assumptions, not measurements. Published bf16
runs of ESM-2 650M with fused kernels reach 0.59 on an A100 (NVIDIA BioNeMo, docs/models/ESM-2)."""

LLM_FOUNDRY = "MosaicML llm-foundry, scripts/train/benchmarking, 2023: 8 devices, sequences of 1024"
BERT = "NVIDIA DeepLearningExamples, BERT for PyTorch 19.07: 8.36 sequences of 512 a second"


@dataclass(frozen=True)
class Published:
    """A published share of the peak.

    Attributes
    ----------
    types : tuple of str
        Types of devices with this chip.
    precision : str
    n_params : float
    share : float
        Model FLOPs ÷ peak, attention counted.
    source : str
    """

    types: tuple[str, ...]
    precision: str
    n_params: float
    share: float
    source: str


A100_40, A100_80, GH100 = ("A100-40GB",), ("A100-80GB",), ("H100", "H200", "GH200")

PUBLISHED: tuple[Published, ...] = (
    Published(A100_80, "bf16", 124_525_056, 0.4315, LLM_FOUNDRY),
    Published(A100_80, "bf16", 354_936_832, 0.5051, LLM_FOUNDRY),
    Published(A100_80, "bf16", 758_897_664, 0.4776, LLM_FOUNDRY),
    Published(A100_80, "bf16", 1_313_853_440, 0.6015, LLM_FOUNDRY),
    Published(A100_80, "bf16", 2_649_216_000, 0.6273, LLM_FOUNDRY),
    Published(A100_40, "bf16", 124_525_056, 0.4089, LLM_FOUNDRY),
    Published(A100_40, "bf16", 354_936_832, 0.4873, LLM_FOUNDRY),
    Published(A100_40, "bf16", 758_897_664, 0.5363, LLM_FOUNDRY),
    Published(A100_40, "bf16", 1_313_853_440, 0.5702, LLM_FOUNDRY),
    Published(A100_40, "bf16", 2_649_216_000, 0.5814, LLM_FOUNDRY),
    Published(GH100, "bf16", 758_897_664, 0.3976, LLM_FOUNDRY),
    Published(GH100, "bf16", 1_313_853_440, 0.4195, LLM_FOUNDRY),
    Published(GH100, "bf16", 2_649_216_000, 0.462, LLM_FOUNDRY),
    Published(("V100-16GB", "V100-32GB"), "fp32", 336_226_108, 0.537, BERT),
)
"""Records of encoders and decoders trained with PyTorch's own loop, as this engine trains: mixed precision with weights
in fp32, attention without stored matrices (llm-foundry; on A100-40GB gradients are summed in bf16); fp32 (BERT-large,
24 layers of 1024: 1.97e9 FLOPs a token)."""

NEAR = 1.5
"""A record holds for sizes of up to so many times its parameters, or a share of them."""


def published_for(name: str, precision: str, *, n_params: float) -> Published | None:
    """The record of the nearest size on this type of device; None where none is near.

    Examples
    --------
    >>> published_for("H200", "bf16", n_params=650e6).share
    0.3976
    >>> published_for("H200", "bf16", n_params=35e6) is None
    True
    """

    def apart(one: Published) -> float:
        return max(one.n_params / n_params, n_params / one.n_params)

    fitting = [one for one in PUBLISHED if name in one.types and one.precision == precision and apart(one) <= NEAR]
    return min(fitting, key=apart, default=None)
