"""`python -m fieldcoach.ingest`."""

from fieldcoach.common.lifecycle import run

from .service import IngestService
from .settings import IngestSettings

if __name__ == "__main__":
    run("ingest", IngestSettings, IngestService)
