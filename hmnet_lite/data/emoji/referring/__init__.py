"""Emoji-Ref: scenes of Emoji-20i with sentences that name one object each."""
