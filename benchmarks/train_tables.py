"""Rows of the training benchmark as text."""

from typing import Any


def speeds_table(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows of `measure` as text."""
    return [
        {
            "size": r["size"],
            "batches": r["batches"],
            "padding": f"{r['padding']:.1%}",
            "variant": r["variant"],
            "first loss": f"{r['loss']:.6f}",
            "tokens/s": f"{r['tokens_per_second']:,.0f}",
            "x": f"{r['speed_of_plmscale']:.2f} ({r['speed_of_plmscale_best']:.2f})",
            "utilisation": f"{r['utilisation']:.1%}",
            "products, GFLOP/s": f"{r['matrix_gflops']:.0f}",
        }
        for r in rows
    ]


def engines_table(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows of `overhead` as text."""
    return [
        {
            "size": r["size"],
            "engine": r["engine"],
            "tokens/step": f"{r['tokens_per_step']:,.0f}",
            "overhead": f"{r['overhead']:+.1%}",
            "largest difference of losses": f"{r['largest_loss_difference']:.1e}",
        }
        for r in rows
    ]
