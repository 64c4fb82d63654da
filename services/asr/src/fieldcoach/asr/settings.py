"""The settings of this service, all from the environment."""

import os
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from fieldcoach.common.settings import ServiceSettings

from .endpoint import EndpointRules
from .language import INDIC
from .recogniser import Rules

EMBEDDED_MODEL = "outlet-en"
"""The small model that comes with the project: no download, about 340 words, synthetic speech only."""
LONGEST_INDIC_MS: Final = 10_000
"""At 16-20 tokens a second Whisper's 224 tokens hold 11-14 s; what is beyond would be lost in silence."""
_PER_MS = 16
_FRAME_MS = 32


class AsrSettings(ServiceSettings):
    """What can be chosen. The lengths in ms are measured on the audio's own clock."""

    asr_engine: Literal["auto", "whisper", "sphinx", "openai"] = Field(
        "auto", description="whisper, sphinx, openai, or auto: whisper when its model can be had, else sphinx"
    )
    asr_openai_url: str = Field(
        "https://api.openai.com/v1", description="engine openai: the server's address, up to /v1"
    )
    asr_openai_key: SecretStr = Field(
        SecretStr(""), description="engine openai: empty where none is asked for"
    )
    asr_openai_model: str = Field(
        "whisper-1", min_length=1, description="engine openai: the server's name for it"
    )
    asr_openai_timeout_s: float = Field(3.0, gt=0, le=30, description="engine openai: for one answer")
    asr_model: str = Field(EMBEDDED_MODEL, description="A Whisper model, by name (tiny, small) or directory")
    asr_models_dir: Path = Field(Path("models"), description="Where models lie, one directory each")
    asr_cache_dir: Path | None = Field(None, description="Where downloads go; empty: Hugging Face's cache")
    asr_threads: int = Field(0, ge=0, le=256, description="Decodes at a time, one core each; 0: all cores")
    asr_window: Literal["auto", "adaptive", "full"] = Field(
        "auto",
        description="Whisper's window: adaptive fits the utterance, full is 30 s",
    )
    asr_device: Literal["cpu", "cuda", "auto"] = Field("cpu", description="Where Whisper runs")
    asr_compute_type: str = Field("int8", description="CTranslate2's: int8, int8_float16, float16, ...")
    asr_batch: int = Field(
        1,
        ge=1,
        le=64,
        description="Decodes in one call, of several sessions: for a GPU; on a CPU it gains nothing",
    )
    playbooks_dir: Path = Field(
        Path("playbooks"), description="Whose vocabulary is told to models that take hot words; read at start"
    )
    asr_languages: str = Field("", description="Offered languages, with commas; empty: the model's")
    asr_max_sessions: int = Field(64, ge=1, le=10_000, description="Never more sessions than this")

    asr_load_target: float = Field(
        0.7,
        gt=0,
        le=20,
        description="Sessions are taken while expected work is under this share of the cores",
    )

    asr_speculate_ms: int = Field(224, ge=64, le=2_000, description="Silence before a final is decoded early")
    asr_commit_ms: int = Field(448, ge=96, le=900, description="Silence that ends an utterance")
    asr_longest_ms: int = Field(15_000, ge=4_000, le=25_000, description="An utterance is cut after this")
    asr_pre_roll_ms: int = Field(300, ge=0, le=1_000, description="Audio decoded before the first voice")
    asr_tail_ms: int = Field(224, ge=0, le=1_000, description="Audio decoded after the last voiced frame")
    asr_first_partial_ms: int = Field(500, ge=200, le=5_000, description="From speech to its first partial")

    @field_validator("asr_model")
    @classmethod
    def _model_is_named(cls, value: str) -> str:
        if not value.strip() or "\0" in value:
            raise ValueError("name a model (outlet-en, tiny, small, ...) or a directory")
        return value.strip()

    @model_validator(mode="after")
    def _silences_rise(self) -> "AsrSettings":
        if self.asr_speculate_ms > self.asr_commit_ms:
            raise ValueError("ASR_SPECULATE_MS must not exceed ASR_COMMIT_MS")
        return self

    @property
    def threads(self) -> int:
        """Decodes at a time: as set, else the cores this process may use."""
        return self.asr_threads or len(os.sched_getaffinity(0))

    @property
    def languages(self) -> tuple[str, ...]:
        """The wanted languages, in order; empty means all."""
        return tuple(part.strip() for part in self.asr_languages.split(",") if part.strip())

    def rules_for(self, languages: tuple[str, ...]) -> Rules:
        """The lengths in samples; an utterance that may be Indic is cut before its text is too long."""
        may_be_indic = not INDIC.isdisjoint(languages)
        longest_ms = min(self.asr_longest_ms, LONGEST_INDIC_MS) if may_be_indic else self.asr_longest_ms
        return Rules(
            endpoint=EndpointRules(
                speculate=self.asr_speculate_ms * _PER_MS,
                commit=self.asr_commit_ms * _PER_MS,
                longest=longest_ms * _PER_MS,
            ),
            pre_roll=self.asr_pre_roll_ms * _PER_MS,
            tail=self.asr_tail_ms * _PER_MS,
            # voice detection loses the last phoneme by up to three frames
            promote_tail=3 * _FRAME_MS * _PER_MS,
            first_partial=self.asr_first_partial_ms * _PER_MS,
        )
