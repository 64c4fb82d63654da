"""What a packet costs: this service and stock aiortc, fed by the same sender over real sockets.

`python -m fieldcoach.ingest.bench ours|stock` prints one JSON object; tools run it as a process, since they
know no service.
"""
