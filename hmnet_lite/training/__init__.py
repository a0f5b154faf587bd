"""Loops that change weights, and the files that keep them."""
