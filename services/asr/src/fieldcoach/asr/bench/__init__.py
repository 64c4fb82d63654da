"""A worker that hears by script: what failover costs, without what decoding costs.

`python -m fieldcoach.asr.bench --visit visits/biscuits-no-space.json` is the whole service with another
engine; tools run it as a process, since they know no service.
"""
