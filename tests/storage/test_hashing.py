import hashlib

import pytest

from dunrestore.errors import FileAccessError
from dunrestore.storage.hashing import sha256_of


def test_the_hash_is_that_of_the_content(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileAccessError, match="no such file") as caught:
        sha256_of(tmp_path / "a")
    assert str(caught.value).startswith(str(tmp_path / "a"))
