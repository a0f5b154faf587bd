"""Scans compiled for CPUs with numba."""
