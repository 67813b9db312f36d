"""The ESM-2 encoder, its weights, the file formats that it is read from and written to, and its scores.

In: an architecture, or a run, a fair-esm checkpoint or a Hugging Face folder. Out: logits, losses, exported models.
Needs torch. Others use `esm2`, `encoders`, `evaluation` and `export`. `cpu_attention` is the kernel for CPUs.
"""
