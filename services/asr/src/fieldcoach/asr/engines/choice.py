"""Which engine this worker runs, by `ASR_ENGINE` and what is at hand."""

import logging

from ..errors import EngineBroken, ModelMissing
from ..settings import AsrSettings
from .base import Engine
from .models import Fetch, Progress, find_model
from .openai import OpenAiEngine, OpenAiOptions
from .sphinx import SphinxEngine
from .whisper import WhisperEngine, WhisperOptions
from .window import COARSE_S, FINE_S

log = logging.getLogger(__name__)

DEFAULT_LANGUAGES = ("en", "hi")
"""What a server of unknown abilities is offered for, unless `ASR_LANGUAGES` says otherwise."""


def open_engine(
    settings: AsrSettings, fetch: Fetch | None = None, progress: Progress | None = None
) -> Engine:
    """Find, load and warm up the engine. Blocks, for minutes if a model must be fetched.

    Raises:
        ModelMissing: `ASR_ENGINE=whisper` and its model can't be had.
        EngineBroken: the model can't be loaded, or the server does not transcribe.
    """
    if settings.asr_engine == "openai":
        return _opened(
            OpenAiEngine(
                OpenAiOptions(
                    url=settings.asr_openai_url,
                    key=settings.asr_openai_key.get_secret_value(),
                    model=settings.asr_openai_model,
                    languages=settings.languages or DEFAULT_LANGUAGES,
                    timeout_s=settings.asr_openai_timeout_s,
                )
            )
        )
    if settings.asr_engine == "sphinx":
        return _opened(SphinxEngine(settings.threads))
    try:
        return _opened(_whisper(settings, fetch, progress))
    except (ModelMissing, EngineBroken) as error:
        if settings.asr_engine == "whisper":
            raise
        log.warning(
            "ASR_ENGINE=auto falls back to sphinx, which hears much less; set ASR_MODEL right for whisper",
            extra={"error": str(error)},
        )
        return _opened(SphinxEngine(settings.threads))


def _whisper(settings: AsrSettings, fetch: Fetch | None, progress: Progress | None) -> WhisperEngine:
    found = find_model(settings.asr_model, settings.asr_models_dir, settings.asr_cache_dir, fetch, progress)
    is_ours = found.is_embedded and found.name == "outlet-en"
    options = WhisperOptions(
        threads=settings.threads,
        buckets=_buckets(settings.asr_window, is_ours),
        # its alignment heads were never trained for word times, and it has never seen a prompt
        word_times=not is_ours,
        takes_context=not is_ours,
        device=settings.asr_device,
        compute_type=settings.asr_compute_type,
    )
    return WhisperEngine(found.directory, found.name, options)


def _buckets(window: str, is_ours: bool) -> tuple[int, ...]:
    """Ours was trained on short windows; a real Whisper only on 30 s ones."""
    if window == "full" or (window == "auto" and not is_ours):
        return ()
    return FINE_S if is_ours else COARSE_S


def _opened(engine: Engine) -> Engine:
    engine.open()
    return engine
