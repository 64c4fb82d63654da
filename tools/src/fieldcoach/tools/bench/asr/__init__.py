"""`fieldcoach bench asr`: many sessions against real asr workers, in real time."""
