"""Predictions in, numbers with their protocol out."""
