"""The public surface: sessions, WHIP, events and summary, over HTTP and WebSocket."""
