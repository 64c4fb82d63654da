"""`python -m fieldcoach.ingest`."""

import gc

from fieldcoach.common.lifecycle import run

from .service import IngestService
from .settings import IngestSettings

if __name__ == "__main__":
    gc.freeze()  # what the imports have made stays: to look through it again held up the loop for 50 ms
    run("ingest", IngestSettings, IngestService)
