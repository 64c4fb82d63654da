"""Streaming speech recognition for many sessions.

Audio comes in as PCM chunks, transcripts go out as partials and finals. `service` wires the pure cores:
`intake` → `timeline` → `voice` → `endpoint` → `recogniser` → `scheduler` → `engines` → `filters` → out.
"""
