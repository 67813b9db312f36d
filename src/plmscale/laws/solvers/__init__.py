"""Numerics of the parametric laws on plain arrays: optimisers, and each law as a frozen value."""
