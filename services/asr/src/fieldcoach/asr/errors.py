"""The errors of this service.

AsrError
├── ModelMissing           the model is not here and can't be had; the message says what to set
├── EngineBroken           the model is here but can't be loaded, or the server refuses us
├── EngineAway             the server that computes does not answer now; retryable
└── DecodeFailed           one decode went wrong; the utterance is tried once more; retryable
"""

from fieldcoach.common.errors import FieldCoachError


class AsrError(FieldCoachError):
    """Root of this service's errors."""


class ModelMissing(AsrError):
    """No such model here, and it could not be fetched. The message names the setting and the fix."""


class EngineBroken(AsrError):
    """The engine refused to load: wrong files, wrong version, no memory."""


class EngineAway(AsrError):
    """Whoever computes elsewhere is not there now: ask again later."""

    retryable = True


class DecodeFailed(AsrError):
    """One decode failed inside the engine."""

    retryable = True
