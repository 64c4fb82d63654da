"""`python -m fieldcoach.asr`: one asr worker."""

import os

# Before numpy loads its BLAS: the cores belong to the decoders, and a mel of 8 s gains nothing by threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> None:
    """Run the service until it is told to stop."""
    from fieldcoach.common.lifecycle import run

    from .service import AsrService
    from .settings import AsrSettings

    run("asr", AsrSettings, AsrService)


if __name__ == "__main__":
    main()
