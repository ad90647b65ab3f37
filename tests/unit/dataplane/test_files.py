from __future__ import annotations

import stat
from pathlib import Path

import pytest

from router_service.dataplane.files import write
from router_service.errors import SetupError

FILES = {"bootstrap.json": "b", "lds.json": "l", "cds.json": "c", "sds/key_a.json": "secret"}


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_secrets_come_first_and_the_listeners_that_need_them_after(tmp_path: Path) -> None:
    written = write(FILES, tmp_path / "new" / "directory")
    assert written.changed == ("sds/key_a.json", "cds.json", "lds.json", "bootstrap.json")
    assert (written.unchanged, written.removed) == ((), ())


def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    assert mode(tmp_path / "sds") == "0o700"
    assert mode(tmp_path / "sds/key_a.json") == "0o600"
    assert mode(tmp_path / "lds.json") == "0o644"


def test_a_secret_that_others_could_read_is_closed_again(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    (tmp_path / "sds/key_a.json").chmod(0o644)
    write(FILES, tmp_path)
    assert mode(tmp_path / "sds/key_a.json") == "0o600"


def test_an_unchanged_file_is_left_alone_and_a_changed_one_appears_by_a_rename(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    before = {name: (tmp_path / name).stat().st_ino for name in FILES}
    written = write({**FILES, "lds.json": "l2"}, tmp_path)
    assert written.changed == ("lds.json",)
    assert [name for name in FILES if (tmp_path / name).stat().st_ino != before[name]] == ["lds.json"]


def test_keys_that_are_no_longer_used_leave_and_nothing_else_does(tmp_path: Path) -> None:
    write({**FILES, "sds/key_b.json": "old"}, tmp_path)
    (tmp_path / "sds/.key_c.json.x7").write_text("left behind by a render that was killed")
    (tmp_path / "notes.txt").write_text("mine")
    written = write(FILES, tmp_path)
    assert written.removed == ("sds/.key_c.json.x7", "sds/key_b.json")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "bootstrap.json",
        "cds.json",
        "key_a.json",
        "lds.json",
        "notes.txt",
    ]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    with pytest.raises(UnicodeEncodeError):
        write({**FILES, "lds.json": "\ud800"}, tmp_path)
    assert (tmp_path / "lds.json").read_text() == "l"


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SetupError, match=r"Cannot write .*taken"):
        write(FILES, tmp_path / "taken")
