"""Emoji-20i, the benchmark that ships: from a seed to an `Episode` of drawn scenes."""
