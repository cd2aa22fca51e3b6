"""Downloads of archives, resumed after interruptions and unpacked atomically."""

from __future__ import annotations

import functools
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import pooch
import requests

from anl_seg.errors import InputError
from anl_seg.formats.folders import atomic_folder
from anl_seg.progress import Track, untracked

BLOCK_BYTES = 2**20
TIMEOUT_SECONDS = 30


def fetch_folder(url: str, parent: Path, *, track: Track = untracked) -> Path:
    """Fetch the zip archive at `url` into `parent` and unpack it there under its own name.

    If a folder or an archive of this name exists, it is used without asking the server. The archive
    is kept.

    Args:
        url: Address that ends in `<name>.zip`.
        parent: Folder for `<name>.zip` and for the unpacked folder `<name>`; created if necessary.
        track: Wrapper of an iterable that shows progress, in blocks of 1 MiB and then in files.

    Returns:
        The unpacked folder.

    Raises:
        InputError: If the server cannot be reached or does not deliver the whole file, the disk is
            too small, or the archive is damaged.
    """
    archive = parent / PurePosixPath(url).name
    folder = archive.with_suffix("")
    if not folder.exists():
        pooch.get_logger().setLevel("WARNING")  # at lower levels it asks to write down a hash
        downloader = functools.partial(resume, track=track)
        pooch.retrieve(url, None, fname=archive.name, path=parent, downloader=downloader)
        unpack(archive, folder, track=track)
    return folder


def resume(url: str, output_file: str, _: object, *, track: Track = untracked) -> None:
    """Download `url` to `output_file`, and resume an earlier attempt. This is a pooch downloader.

    The received bytes are in `.partial-<name>` beside `output_file`, even after a kill. After a
    broken connection the download continues as long as each attempt brings new bytes.

    Raises:
        InputError: If the server cannot be reached or stops delivering.
    """
    partial = Path(output_file).with_name(f".partial-{PurePosixPath(url).name}")
    partial.touch()
    complete = False
    while not complete:
        before = partial.stat().st_size
        try:
            _fetch_rest(url, partial, track)
            complete = True
        except requests.RequestException as error:
            if partial.stat().st_size <= before:
                raise InputError(
                    f"{url} cannot be fetched ({_reason(error)}); run the command again later to "
                    f"resume, or put the file into {partial.parent} by hand"
                ) from error
    partial.replace(output_file)


def _fetch_rest(url: str, partial: Path, track: Track) -> None:
    """Append the missing bytes to `partial`, up to the size that the server states."""
    head = requests.head(url, allow_redirects=True, timeout=TIMEOUT_SECONDS)
    head.raise_for_status()
    if "Content-Length" not in head.headers:
        raise InputError(
            f"{url}: the server does not state the file's size, so the answer may not be the file; "
            f"put the file into {partial.parent} by hand"
        )
    size = int(head.headers["Content-Length"])
    have = partial.stat().st_size
    if have == size:
        return
    wanted = {"Range": f"bytes={have if have < size else 0}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=wanted, stream=True, timeout=TIMEOUT_SECONDS) as response:
        response.raise_for_status()
        resumes = response.status_code == requests.codes.partial_content and have < size
        start = have if resumes else 0
        _require_space(partial.parent, size - start, url)
        with partial.open("ab" if resumes else "wb") as file:
            blocks = response.iter_content(BLOCK_BYTES)
            steps = track(range(start, size, BLOCK_BYTES), f"fetching {PurePosixPath(url).name}")
            for _, block in zip(steps, blocks, strict=False):
                file.write(block)
    if partial.stat().st_size != size:
        raise requests.exceptions.ChunkedEncodingError("another number of bytes than stated")


def unpack(archive: Path, folder: Path, *, track: Track = untracked) -> None:
    """Unpack all files of a zip archive directly into the new folder `folder`.

    Folders inside the archive are ignored. So a top folder makes no difference, and no member can
    be written elsewhere. The checksum of each member is verified.

    Raises:
        InputError: If the archive is damaged or the disk too small.
    """
    try:
        with zipfile.ZipFile(archive) as bundle, atomic_folder(folder) as partial:
            names = {member: PurePosixPath(member.filename).name for member in bundle.infolist()}
            members = [
                member
                for member, name in names.items()
                if not member.is_dir() and not name.startswith(".")
            ]
            _require_space(folder.parent, sum(member.file_size for member in members), archive)
            for member in track(members, f"unpacking {archive.name}"):
                with bundle.open(member) as source, (partial / names[member]).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{archive} is not a complete zip archive ({error}); delete it and run this again"
        ) from error


def _require_space(folder: Path, n_bytes: int, what: object) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise InputError(
            f"{what} needs {n_bytes / 1e9:.1f} GB in {folder}, but {free / 1e9:.1f} GB are free; "
            "free some space or choose another folder"
        )


def _reason(error: requests.RequestException) -> str:
    """Describe the failure of a request in a few words."""
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection to the server"
