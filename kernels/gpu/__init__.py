"""Scans compiled for GPUs with Triton."""
