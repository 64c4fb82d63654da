"""Where a Whisper model is, or how to get it: a directory, a folder of `ASR_MODELS_DIR`, or a download."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ModelMissing

log = logging.getLogger(__name__)

NEEDED_FILES: Final = ("model.bin", "config.json")
PROGRESS_S: Final = 2.0
"""Between two progress lines: often enough to see that it moves."""

Fetch = Callable[[str, str | None, bool], str]
"""(name, cache directory, only what is cached) → directory."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on this disk. `is_embedded` means one that lies in `ASR_MODELS_DIR`."""

    name: str
    directory: Path
    is_embedded: bool


def find_model(
    name: str,
    models_dir: Path,
    cache_dir: Path | None,
    fetch: Fetch | None = None,
    progress: Progress | None = None,
) -> FoundModel:
    """Find the model, downloading it if its name is one that faster-whisper knows. Blocks.

    Raises:
        ModelMissing: says which setting to change.
    """
    given = Path(name).expanduser()
    if given.is_dir():
        return _checked(FoundModel(given.resolve().name, given, is_embedded=False))
    inside = models_dir / name
    if inside.is_dir() and inside.resolve().is_relative_to(models_dir.resolve()):
        return _checked(FoundModel(name, inside, is_embedded=True))
    known = _downloadable()
    if name not in known and name.count("/") != 1:
        raise ModelMissing(
            f"ASR_MODEL={name}: no such directory, none of that name in ASR_MODELS_DIR={models_dir}, and not "
            f"a model to download; set ASR_MODEL to a directory with {' and '.join(NEEDED_FILES)}, or to one "
            f"of {', '.join(known)}, or run from the project's root, where models/outlet-en lies"
        )
    return FoundModel(name, _download(name, cache_dir, fetch or _fetch, progress), is_embedded=False)


def _checked(found: FoundModel) -> FoundModel:
    missing = [file for file in NEEDED_FILES if not (found.directory / file).is_file()]
    if missing:
        raise ModelMissing(
            f"ASR_MODEL: {found.directory} has no {' and no '.join(missing)}; set ASR_MODEL to a directory "
            "with a Whisper model for CTranslate2, or to outlet-en"
        )
    return found


def _downloadable() -> list[str]:
    from faster_whisper import available_models

    names: list[str] = available_models()
    return names


def _fetch(name: str, cache_dir: str | None, only_cached: bool) -> str:
    from faster_whisper import download_model

    directory: str = download_model(name, cache_dir=cache_dir, local_files_only=only_cached)
    return directory


def _download(name: str, cache_dir: Path | None, fetch: Fetch, progress: Progress | None) -> Path:
    cache = str(cache_dir) if cache_dir else None
    try:
        return Path(fetch(name, cache, True))
    except Exception:  # whatever it was: it is not here whole, so fetch it
        log.info("downloading the model", extra={"model": name})
    watched = cache_dir or _hub_cache()
    done = threading.Event()
    watch = threading.Thread(
        target=_report, args=(name, watched, _size(watched), done, progress), name="download", daemon=True
    )
    watch.start()
    try:
        directory = Path(fetch(name, cache, False))
    except Exception as error:  # the hub's client raises a score of classes
        raise ModelMissing(
            f"ASR_MODEL={name}: can't be downloaded ({type(error).__name__}); check the network, or set "
            "ASR_MODEL to a directory with the model, or to outlet-en, which needs no download"
        ) from error
    finally:
        done.set()
        watch.join()
    log.info("downloaded the model", extra={"model": name})
    return directory


def _report(name: str, watched: Path, before: int, done: threading.Event, progress: Progress | None) -> None:
    """Tell how much has come, by the size of the cache: the hub's own bar is for terminals."""
    total = _total_bytes(name)
    while not done.wait(PROGRESS_S):
        come = max(0, _size(watched) - before)
        percent = min(99, 100 * come // total) if total else None
        log.info(
            "downloading the model",
            extra={"model": name, "bytes": come, "total_bytes": total, "percent": percent},
        )
        if progress:
            progress(f"{percent} %" if percent is not None else f"{come // 1_000_000} MB")


def _total_bytes(name: str) -> int | None:
    try:
        from faster_whisper.utils import _MODELS
        from huggingface_hub import HfApi

        info = HfApi().model_info(_MODELS.get(name, name), files_metadata=True, timeout=5)
        return sum(item.size or 0 for item in info.siblings or []) or None
    except Exception:  # only the percentage is lost
        return None


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _size(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue  # renamed by the download while we look
    return total
