"""Datasets: each gives `Episode` objects, a query to segment and supports that show what.

`EmojiReferring` and `ReferPhotos` give pictures with sentences instead.
"""

from importlib import import_module

from hmnet_lite.data.episode import Episode

_MODULES = {
    "EmojiEpisodes": "emoji.dataset",
    "EmojiReferring": "emoji.referring.dataset",
    "PascalEpisodes": "photos.pascal",
    "CocoEpisodes": "photos.coco",
    "FSSEpisodes": "photos.fss",
    "FolderEpisodes": "photos.folder",
    "ReferPhotos": "photos.refer",
}
__all__ = ["Episode", *_MODULES]


def __getattr__(name: str) -> object:
    if name in _MODULES:  # imported when first used: they need Pillow, and emoji its data
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
