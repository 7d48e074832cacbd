"""For all tests: what the program keeps between runs goes into a folder of the test run's own."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
