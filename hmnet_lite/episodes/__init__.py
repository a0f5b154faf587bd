"""Datasets: each gives `Episode` objects, a query to segment and supports that show what."""

from hmnet_lite.episodes.episode import Episode

__all__ = ["EmojiEpisodes", "Episode"]


def __getattr__(name: str) -> object:
    if name == "EmojiEpisodes":  # imported when first used: only it needs the data and Pillow
        from hmnet_lite.episodes.emoji import EmojiEpisodes

        return EmojiEpisodes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
