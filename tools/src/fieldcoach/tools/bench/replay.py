"""Which objection cues the limits allow: asked of the coach's own replay, in a process of its own."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from ..errors import BenchError
from .gold import GoldVisit

LIMIT_S = 30.0


async def allowed_objection_cues(playbook: Path, visit: GoldVisit) -> int:
    """How many objection cues the playbook shows on the visit's own text.

    Raises:
        BenchError: the replay failed; with its words.
    """
    fields = json.loads(visit.script.read_text())
    fields["lines"] = [line for line in fields["lines"] if float(line["end"]) <= visit.lines[-1].end]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as script:
        json.dump(fields, script)
        script.flush()
        command = (sys.executable, "-m", "fieldcoach.coach", "replay", str(playbook), script.name, "--json")
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise BenchError(f"{visit.id}: the coach's replay took over {LIMIT_S:.0f} s") from None
    if process.returncode != 0:
        raise BenchError(
            f"{visit.id}: the coach's replay failed: {err.decode(errors='replace').strip()[-500:]}"
        )
    return count_allowed(out.decode())


def count_allowed(output: str) -> int:
    """The decisions of a replay that show an objection's cue.

    Raises:
        BenchError: not the output of a replay.
    """
    try:
        decisions = json.loads(output.strip().splitlines()[-1])["decisions"]
        return sum(1 for decision in decisions if decision["shown"] and decision.get("objection"))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BenchError(f"the coach's replay printed something else than decisions ({error!r})") from error
