"""`fieldcoach token`: a development user token, for curl and any other client."""

from pathlib import Path

from ..phone.api import GatewayApi
from ..stack.state import read_running
from ..stack.tokens import dev_user_token


async def token(run_dir: Path, url: str | None, ttl_s: int, insecure: bool) -> str:
    """From the key of the stack that runs here, or from the development gateway at `url`.

    Raises:
        NoStack: none runs from the run directory.
        VisitError: the gateway at `url` gives none.
    """
    if url is None:
        return dev_user_token(read_running(run_dir).user_token_key, ttl_s)
    async with GatewayApi(url, insecure) as api:
        return await api.dev_token()
