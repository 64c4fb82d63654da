"""The coach's settings."""

from pathlib import Path

from pydantic import Field, SecretStr

from fieldcoach.common.settings import ServiceSettings

from .llm import LlmAccess


class CoachSettings(ServiceSettings):
    """Environment of the coach."""

    playbooks_dir: Path = Field(Path("playbooks"), description="Folder of the playbooks (*.yaml)")
    playbooks_reload_s: float = Field(
        2.0, ge=0, description="How often the folder is looked at for changes; 0: only at the start"
    )
    aggregate_every_s: float = Field(
        10.0, gt=0, description="How often the counts of cues shown and acted on are told"
    )
    coach_max_sessions: int = Field(500, ge=1, description="Visits that this process takes at most")
    llm_base_url: str = Field(
        "", description="An OpenAI-compatible server, such as http://localhost:11434/v1"
    )
    llm_model: str = Field("gpt-4o-mini", description="Name of the model there")
    llm_summary_model: str = Field("", description="Another model for the summary; default: LLM_MODEL")
    llm_api_key: SecretStr = Field(SecretStr(""), description="Key of that server")
    openai_api_key: SecretStr = Field(SecretStr(""), description="Used where LLM_API_KEY is not set")
    llm_deadline_ms: int = Field(900, ge=100, le=3_000, description="How long a cue may wait for the model")
    llm_summary_s: float = Field(8.0, gt=0, le=60, description="How long the summary may wait for the model")

    def llm_access(self) -> LlmAccess | None:
        """Where the model is; None when nothing says so, and the rules do all."""
        key = self.llm_api_key.get_secret_value() or self.openai_api_key.get_secret_value()
        if not self.llm_base_url and not key:
            return None
        return LlmAccess(self.llm_base_url, self.llm_model, key, self.llm_summary_model)
