"""Streaming speech recognition for many sessions.

Audio comes in as PCM chunks, transcripts go out as partials and finals. `service` wires the pure cores:
`intake` → `timeline` → `voice` → `endpoint` → `recogniser` → `scheduler` → `engines` → `filters` → out.
"""

import os

# onnxruntime calls home and keeps a database in the home directory unless it is told not to before its
# import; a service that hears people does neither
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
