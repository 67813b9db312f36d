"""Numbers and verdicts as text."""

import pytest

from plmscale.estimates import Estimate
from plmscale.presentation.formats import balance, compact, given, growth, number, short, with_interval


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.2712, 0.2214, 0.3108, "0.271 (0.221–0.311)"),
        (0.27, None, None, "0.270"),
        (0.27, 0.22, None, "0.270 (≥ 0.220)"),
        (-0.3, -0.52, 0.1, "−0.30 (−0.52 to 0.10)"),
        (4.85e79, 1.2e70, 3.3e85, "4.85×10⁷⁹ (1.20×10⁷⁰–3.30×10⁸⁵)"),
        (1.0, 1.0, 1.0, "1.00 (1.00–1.00)"),
        (None, 0.1, 0.2, "–"),
    ],
)
def test_intervals_as_text(value, low, high, text):
    assert with_interval(Estimate(value, low, high)) == text


def test_numbers_as_text():
    assert [number(v) for v in (0.0, 99_999.0, 12_345.0, 0.00099, float("nan"))] == [
        "0",
        "1.00×10⁵",
        "12,345",
        "9.90×10⁻⁴",
        "–",
    ]
    assert [compact(v) for v in (1e11, 10**11.5, 2.5e18, 0.65, None)] == ["10¹¹", "3.16×10¹¹", "2.5×10¹⁸", "0.65", "–"]
    assert [given(v) for v in (0.0063, 1e17, 2.455, -1.33e69)] == ["0.0063", "10¹⁷", "2.455", "−1.33×10⁶⁹"]
    assert [short(v) for v in (5_036_160, 999_999, 2.08e10, 950)] == ["5.04M", "1M", "20.8B", "950"]


def test_words_follow_the_interval():
    assert growth(Estimate(0.71, 0.69, 0.73)) == "sublinear"
    assert growth(Estimate(0.99, 0.95, 1.01)) == "sublinear or superlinear"
    assert growth(Estimate(1.3, 1.1, 1.5)) == "superlinear"
    assert growth(Estimate(0.1, -0.1, 0.3)) == "not shown to grow"
    assert growth(Estimate(0.5)) == "no interval"
    assert balance(Estimate(0.6, 0.55, 0.65), Estimate(0.4, 0.35, 0.45)) == "size grows faster than tokens"
    assert balance(Estimate(0.27, 0.2, 0.3), Estimate(0.71, 0.6, 0.8)) == "tokens grow faster than size"
    assert "open" in balance(Estimate(0.5, 0.4, 0.6), Estimate(0.5, 0.4, 0.6))
