"""What files and folders have to be like so that tokens are kept there."""

import os
import stat
from pathlib import Path

from harvest_pipeline.harvest.errors import StoreUnusable


def check_private(path: Path, mode: int) -> None:
    """Raise StoreUnusable unless a file or folder is ours and private, as `mode` is. Raises
    OSError."""
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise StoreUnusable(
            f"{path} belongs to another user (uid {status.st_uid}), so no token is kept there; "
            "run as that user, or name another folder in HARVEST_TOKEN_STORE."
        )
    if status.st_mode & 0o077:
        raise StoreUnusable(
            f"{path} is open to other users of this machine (mode "
            f"{stat.S_IMODE(status.st_mode):04o}), so no token is kept there; run "
            f"`chmod {mode:o} {path}`, and connect again if somebody may have read a token."
        )


def check_above(file: Path) -> None:
    """Raise StoreUnusable if somebody else could put another file in the place of ours: it or a
    folder above it is a link that the system has not made, or may be written by everybody. Raises
    OSError."""
    for path in (file, *file.parents):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode) and not _is_of_system(path, status):
            raise StoreUnusable(
                f"{path} is a link, and whoever can change it leads tokens elsewhere, so none is "
                "kept below it; name the folder itself in HARVEST_TOKEN_STORE."
            )
        if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o1002 == 0o0002:
            raise StoreUnusable(
                f"Everybody on this machine may replace what is in {path} (mode "
                f"{stat.S_IMODE(status.st_mode):04o}), so no token is kept below it; run "
                f"`chmod o-w {path}`, or name another folder in HARVEST_TOKEN_STORE."
            )


def _is_of_system(link: Path, status: os.stat_result) -> bool:
    """Whether a link is one that comes with the system, such as /var or /home."""
    return link.parent == Path(link.anchor) or (status.st_uid == 0 != os.geteuid())
