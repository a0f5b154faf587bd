"""Data sets that the tests of photographs share."""

import pytest

from tests.data.photos import trees


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def voc(tmp_path_factory):
    return trees.pascal(tmp_path_factory.mktemp("voc"))


@pytest.fixture
def own(tmp_path):
    return trees.class_folders(tmp_path / "pictures", ["bowl", "cup", "mug"])
