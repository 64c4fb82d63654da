"""`python -m fieldcoach.asr.bench --visit visits/x.json`, settings as of any worker; prints its id first."""

import argparse
import json
import sys
from pathlib import Path

from fieldcoach.common.bus import Bus
from fieldcoach.common.lifecycle import run

from ..engines.base import Engine
from ..service import AsrService
from ..settings import AsrSettings
from .scripted import ScriptedEngine, load_script


def main() -> None:
    """Run the worker until it is told to stop."""
    parser = argparse.ArgumentParser(prog="fieldcoach.asr.bench")
    parser.add_argument("--visit", type=Path, required=True, help="what every session plays, as JSON")
    script = load_script(parser.parse_args().visit)

    def open_engine(*_: object) -> Engine:
        return ScriptedEngine(script)

    def build(settings: AsrSettings, bus: Bus) -> AsrService:
        service = AsrService(settings, bus, open_engine)
        sys.stdout.write(json.dumps({"worker": service.worker}) + "\n")
        sys.stdout.flush()
        return service

    run("asr", AsrSettings, build)


if __name__ == "__main__":
    main()
