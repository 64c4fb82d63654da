"""Start the gateway: `python -m fieldcoach.gateway`."""

from fieldcoach.common.lifecycle import run

from .service import GatewayService
from .settings import GatewaySettings

run("gateway", GatewaySettings, GatewayService)
