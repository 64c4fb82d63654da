"""The errors of this service.

AsrError
├── ModelMissing           the model is not here and can't be had; the message says what to set
├── EngineBroken           the model is here but can't be loaded
└── DecodeFailed           one decode went wrong; the utterance is tried once more; retryable
"""

from fieldcoach.common.errors import FieldCoachError


class AsrError(FieldCoachError):
    """Root of this service's errors."""


class ModelMissing(AsrError):
    """No such model here, and it could not be fetched. The message names the setting and the fix."""


class EngineBroken(AsrError):
    """The engine refused to load: wrong files, wrong version, no memory."""


class DecodeFailed(AsrError):
    """One decode failed inside the engine."""

    retryable = True
