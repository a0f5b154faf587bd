"""Scans compiled for CPUs with numba: float32 tensors in, as many threads as torch has."""
