"""Files for one pair of eyes, replaced whole or not at all."""

import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from harvest_pipeline.accounts import private_files
from harvest_pipeline.harvest.errors import StoreUnusable
from harvest_pipeline_tests.accounts.conftest import forked, killed_while_it_writes

SOMEBODY_ELSE = 65534
CHOWN = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "acme.secret"
    private_files.write(path, b"a secret")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "acme.secret"
    for content in (b"one", b"two"):
        private_files.write(path, content)
        assert mode(path) == 0o600
        assert mode(path.parent) == mode(path.parent.parent) == 0o700
        assert private_files.names(path.parent) == ["acme.secret"]
        assert private_files.read(path) == content


def test_reading_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert private_files.read(folder / "acme.secret") is None
    assert private_files.names(folder) == []
    assert not private_files.remove(folder / "acme.secret")
    assert not any(tmp_path.iterdir())


def test_a_removed_file_is_gone_with_what_a_dead_writer_left(file: Path) -> None:
    (file.parent / ".acme.secret.unfinished").write_text("half a secr")
    assert private_files.remove(file)
    assert not private_files.remove(file)
    assert private_files.names(file.parent) == []


def link(file: Path) -> None:
    file.rename(file.parent / "elsewhere")
    file.symlink_to(file.parent / "elsewhere")


def link_folder(file: Path) -> None:
    file.parent.rename(file.parent.parent / "elsewhere")
    file.parent.symlink_to(file.parent.parent / "elsewhere")


def give_away(file: Path) -> None:
    os.chown(file, SOMEBODY_ELSE, -1)


def give_folder_away(file: Path) -> None:
    os.chown(file.parent, SOMEBODY_ELSE, -1)


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir(0o700)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.chmod(0o644), r"acme\.secret is open to other.*0644.*`chmod 600 /"),
        (lambda file: file.chmod(0o620), r"acme\.secret is open to other.*0620"),
        (lambda file: file.chmod(0o602), r"acme\.secret is open to other.*0602"),
        (lambda file: file.parent.chmod(0o777), r"store is open to other.*0777.*`chmod 700 /"),
        (lambda file: file.parent.chmod(0o750), r"store is open to other.*0750"),
        pytest.param(give_away, r"acme\.secret belongs to another user", marks=CHOWN),
        pytest.param(give_folder_away, "store belongs to another user", marks=CHOWN),
        (link, r"acme\.secret is a symbolic link"),
        (link_folder, "store is a symbolic link"),
        (make_pipe, "is no file"),
        (make_folder, "cannot be used: Is a directory"),
        (lambda file: file.write_bytes(b" " * 70_000), "larger than any file"),
    ],
)
def test_a_file_that_others_may_have_read_or_written_is_refused(
    spoil: Callable[[Path], object], said: str, file: Path
) -> None:
    spoil(file)
    with pytest.raises(StoreUnusable, match=said) as caught:
        private_files.read(file)
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.parent.chmod(0o777),
        pytest.param(give_folder_away, marks=CHOWN),
        link_folder,
    ],
)
def test_nothing_is_written_into_a_folder_that_is_not_private(
    spoil: Callable[[Path], object], file: Path
) -> None:
    spoil(file)
    with pytest.raises(StoreUnusable):
        private_files.write(file, b"newer")
    assert file.read_bytes() == b"a secret"


def test_writing_replaces_a_link_and_leaves_its_target_alone(file: Path) -> None:
    link(file)
    private_files.write(file, b"newer")
    assert private_files.read(file) == b"newer"
    assert (file.parent / "elsewhere").read_bytes() == b"a secret"


def test_a_path_below_a_file_is_one_sentence(file: Path) -> None:
    with pytest.raises(StoreUnusable, match="where accounts are stored, cannot be used: Not a dir"):
        private_files.write(file / "acme.secret", b"")


def test_a_disk_that_is_full_leaves_the_old_content(file: Path) -> None:
    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))  # as full as a test can make it
        with pytest.raises(StoreUnusable, match="cannot be used: File too large"):
            private_files.write(file, b"newer")

    assert os.waitpid(forked(fill), 0)[1] == 0
    assert private_files.read(file) == b"a secret"
    assert private_files.names(file.parent) == ["acme.secret"]


def test_a_writer_that_is_killed_leaves_old_or_new(file: Path) -> None:
    versions = [b"old" * 5000, b"new" * 5001]
    seen = set[bytes | None]()
    for _ in range(60):
        killed_while_it_writes([partial(private_files.write, file, each) for each in versions])
        seen.add(private_files.read(file))
        versions.reverse()
    assert seen == {*versions}
    private_files.write(file, b"after")
    assert private_files.names(file.parent) == ["acme.secret"]
