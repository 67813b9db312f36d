"""Attention on CPUs: a kernel compiled from Python, and the function of torch that calls it."""
