"""Scans compiled for GPUs with Triton; TRITON_INTERPRET=1 runs them on a CPU, for tests."""
