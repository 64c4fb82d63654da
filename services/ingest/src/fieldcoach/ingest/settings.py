"""The ingest's settings."""

from typing import Literal

from pydantic import Field, field_validator

from fieldcoach.common.settings import ServiceSettings

from .addresses import parse_hosts, parse_ports


class IngestSettings(ServiceSettings):
    """What the environment says; see README.md."""

    media_hosts: str = Field(
        "", description="IP addresses offered to phones, comma-separated; empty: this machine's own"
    )
    media_bind: str = Field(
        "", description="Address that media sockets listen on, e.g. 0.0.0.0 behind a NAT; empty: MEDIA_HOSTS"
    )
    media_ports: str = Field("", description="Range of UDP ports for media, min-max; empty: any")
    max_sessions: int = Field(200, ge=1, description="Sessions that this process takes")
    claim_timeout_s: float = Field(0.5, gt=0, description="How long an asr worker may think about a session")
    worker_fresh_s: float = Field(0.8, gt=0, description="An older heartbeat means that the worker is away")
    ack_timeout_s: float = Field(1.0, gt=0, description="Without an ack for so long the worker is changed")
    suspend_after_s: float = Field(
        3.0, gt=0, description="Without a packet for so long a session is suspended"
    )
    free_media_after_s: float = Field(60.0, gt=0, description="Then its peer connection is freed")
    end_after_s: float = Field(600.0, gt=0, description="Suspended for so long a session ends")
    rung: Literal["", "L0", "L1", "L2", "L3", "L4"] = Field(
        "", description="For measurements: every phone stays on this rung; empty: the ladder decides"
    )
    max_session_s: float = Field(4 * 3_600.0, gt=0, description="No session is longer")

    @field_validator("media_hosts")
    @classmethod
    def _hosts_are_addresses(cls, value: str) -> str:
        parse_hosts(value)
        return value

    @field_validator("media_bind")
    @classmethod
    def _bind_is_an_address(cls, value: str) -> str:
        if len(parse_hosts(value)) > 1:
            raise ValueError("use one IP address")
        return value.strip()

    @field_validator("media_ports")
    @classmethod
    def _ports_are_a_range(cls, value: str) -> str:
        parse_ports(value)
        return value
