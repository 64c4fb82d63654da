"""The life of a service process: settings, logs, telemetry, bus, readiness, signals, drain.

Every `__main__` is one call of `run`, so knowing one service is knowing all.
"""

import asyncio
import logging
import resource
import signal
from typing import Protocol, TypeVar

import uvloop

from .bus import Bus
from .errors import FieldCoachError
from .health import HealthServer
from .logs import set_up_logging
from .loop_watch import LoopWatch
from .settings import ServiceSettings, load_settings_or_exit
from .telemetry import set_up_telemetry, shut_down_telemetry

log = logging.getLogger(__name__)

S = TypeVar("S", bound=ServiceSettings)
S_contra = TypeVar("S_contra", bound=ServiceSettings, contravariant=True)


class Service(Protocol):
    """What a service offers to its process."""

    async def start(self) -> None:
        """Begin to work. The bus may still be away: `bus.connect` waits for it."""

    async def drain(self) -> None:
        """Stop taking work, hand over or finish, within the grace period."""

    def why_not_ready(self) -> str | None:
        """None when ready, else the reason in a few words."""


class ServiceFactory(Protocol[S_contra]):
    """Makes the service from its settings and its bus."""

    def __call__(self, settings: S_contra, bus: Bus) -> Service:
        """Build; no I/O yet."""


def run(name: str, settings_kind: type[S], factory: ServiceFactory[S]) -> None:
    """Run one service until SIGTERM or SIGINT; exit 0 after a clean drain, 1 if it could not start."""
    settings = load_settings_or_exit(settings_kind)
    set_up_logging(name, settings.log_level)
    set_up_telemetry(name, settings.region, settings.otel_exporter_otlp_endpoint)
    _raise_file_limit()
    status = uvloop.run(_live(name, settings, factory))
    shut_down_telemetry()
    raise SystemExit(status)


async def _live(name: str, settings: S, factory: ServiceFactory[S]) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    bus = Bus(settings.nats_url, settings.region, f"fieldcoach-{name}")
    service = factory(settings, bus)
    started = False

    def why_not_ready() -> str | None:
        if stopping.is_set():
            return "draining"
        if not started:
            return "waiting for NATS" if not bus.is_connected else "starting"
        if not bus.is_connected:
            return "lost NATS"
        return service.why_not_ready()

    health = HealthServer(settings.health_host, settings.health_port, why_not_ready)
    if settings.health_port:
        await health.start()
    watching = asyncio.ensure_future(LoopWatch().run())
    starting = asyncio.ensure_future(_start(service, bus))
    stop_wait = asyncio.ensure_future(stopping.wait())
    status = 0
    try:
        await asyncio.wait({starting, stop_wait}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            started = True
            log.info("started")
        await stop_wait
    except FieldCoachError as error:
        log.error("can't start", extra={"error": str(error)})
        status = 1
    finally:
        starting.cancel()
        stop_wait.cancel()
        await asyncio.gather(starting, stop_wait, return_exceptions=True)
        log.info("draining")
        try:
            async with asyncio.timeout(settings.drain_timeout_s):
                if started:
                    await service.drain()
        except TimeoutError:
            log.error("drain took too long", extra={"limit_s": settings.drain_timeout_s})
            status = 1
        await bus.drain()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await health.stop()
        log.info("stopped")
    return status


async def _start(service: Service, bus: Bus) -> None:
    await bus.connect()
    await service.start()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        log.warning("can't raise the limit of open files; each session needs two", extra={"limit": soft})
