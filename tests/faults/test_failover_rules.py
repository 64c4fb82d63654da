"""The failover rules against anything that can happen to a session, its workers and the bus.

Every word that was spoken is told once, or lies in a stretch that was declared lost; none is told twice.
FIELDCOACH_FAILOVER_EXAMPLES=2000 looks for longer than CI does; with FIELDCOACH_FAILOVER_SHRINK=0 it says at
once what it found.
"""

import os
from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.faults.failover_worker import CELL
from tests.faults.failover_world import CHUNK, STEP_S, Noise, World

from fieldcoach.asr.session import INBOX_CHUNKS
from fieldcoach.ingest.ring import RING_SAMPLES, SLACK_SAMPLES

EXAMPLES = int(os.environ.get("FIELDCOACH_FAILOVER_EXAMPLES", "12"))
PHASES = set(Phase) - (
    {Phase.shrink, Phase.explain} if os.environ.get("FIELDCOACH_FAILOVER_SHRINK") == "0" else set()
)
WORKER = st.integers(0, 1)


def check(world: World) -> None:
    """At the end: each word once, or declared."""
    told = Counter(world.reader.words)
    spoken = {f"w{cell}": cell for cell in world.ingest.spoken}
    twice = sorted(word for word, times in told.items() if times > 1)
    finals = [(final.epoch, final.first_sample, final.end_sample, final.text) for final in world.reader.told]
    assert not twice, f"told twice: {twice} in {finals}"
    assert not set(told) - set(spoken), "never spoken"
    for word, cell in spoken.items():
        if not told[word]:
            first, end = cell * CELL, (cell + 1) * CELL
            assert any(first < last and begin < end for begin, last in world.ingest.lost), (
                f"{word} is neither told nor declared lost ({world.ingest.lost})"
            )


def finish(world: World) -> None:
    """Heal everything, let the speaker end, and give them time to say what they owe."""
    world.heal()
    world.run(4, is_speaking=False)
    world.ingest.end()
    for _ in range(24):
        world.start_worker()  # the place of one that is gone is filled
        world.run(1)


class Failover(RuleBasedStateMachine):
    """A visit with faults in any order."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.world = World(seed)
        self.world.run(1, is_speaking=False)

    @rule(seconds=st.floats(0.7, 6))
    def speak(self, seconds: float) -> None:
        self.world.run(seconds, is_speaking=True)
        self.world.run(0.6, is_speaking=False)

    @rule(seconds=st.floats(0.3, 17))
    def speak_on(self, seconds: float) -> None:
        """Without an end: what comes next happens in the middle of a line."""
        self.world.run(seconds, is_speaking=True)

    @rule(seconds=st.floats(0.5, 3))
    def say_nothing(self, seconds: float) -> None:
        self.world.run(seconds, is_speaking=False)

    @rule(seconds=st.floats(3, 8))
    def switch_off(self, seconds: float) -> None:
        """The user's pause: no chunk at all, then a gap."""
        self.world.run(1.2, is_speaking=False)
        self.world.run(seconds)
        self.world.ingest.skip(seconds)

    @rule(worker=WORKER)
    def crash(self, worker: int) -> None:
        self._worker(worker).crash()

    @rule()
    def start(self) -> None:
        self.world.start_worker()

    @rule(worker=WORKER)
    def pause(self, worker: int) -> None:
        self._worker(worker).pause()

    @rule(worker=WORKER)
    def wake(self, worker: int) -> None:
        self._worker(worker).wake()

    @rule(worker=WORKER)
    def terminate(self, worker: int) -> None:
        self._worker(worker).terminate()

    @rule(seconds=st.floats(0.2, 25), is_speaking=st.booleans())
    def lose_the_server(self, seconds: float, is_speaking: bool) -> None:
        """For a second nothing else breaks.

        What a worker has told is in three places: its memory, the server's and the readers'. If the server
        dies, comes back and dies with the worker before a reader has come back, nobody has it any more.
        """
        if self.world.server_is_up:
            self.world.kill_server()
            self.world.run(seconds, is_speaking)
            self.world.start_server()
            self.world.run(1, is_speaking)

    @rule()
    def lose_the_server_with_a_final(self) -> None:
        """The worst moment: it has taken a final and told nobody."""
        if self.world.server_is_up:
            self.world.run(2, is_speaking=True)
            self.world.takes_along = []
            for _ in range(50):
                self.world.run(STEP_S, is_speaking=False)
                if self.world.takes_along:
                    break
            self.world.takes_along = None
            self.lose_the_server(0.5, False)

    @rule(seconds=st.floats(0.2, 8), is_speaking=st.booleans())
    def lose_our_connection(self, seconds: float, is_speaking: bool) -> None:
        if self.world.server_is_up and self.world.ingest.link.is_up:
            self.world.cut_off_ingest()
            self.world.run(seconds, is_speaking)
            self.world.reconnect(self.world.ingest.link)

    @rule(seconds=st.floats(0.5, 7))
    def stop_the_ingest(self, seconds: float) -> None:
        self.world.ingest.stop(seconds)

    @rule(drop=st.floats(0, 0.3), double=st.floats(0, 0.3), late=st.floats(0, 0.3))
    def disturb(self, drop: float, double: float, late: float) -> None:
        self.world.noise = Noise(drop, double, late)

    @rule()
    def calm(self) -> None:
        self.world.noise = Noise()

    @invariant()
    def nothing_grows(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        assert world.ingest.delivery.held * CHUNK <= RING_SAMPLES + SLACK_SAMPLES + CHUNK
        for worker in world.workers:
            assert worker.session is None or len(worker.session._inbox) <= INBOX_CHUNKS

    def teardown(self) -> None:
        if hasattr(self, "world"):
            finish(self.world)
            check(self.world)

    def _worker(self, number: int):  # type: ignore[no-untyped-def] # a Worker
        return self.world.workers[number % len(self.world.workers)]


TestFailover = Failover.TestCase
TestFailover.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=PHASES,
)


def test_without_faults_every_word_is_told() -> None:
    world = World(1)
    for _ in range(3):
        world.run(2.5, is_speaking=True)
        world.run(1, is_speaking=False)
    finish(world)
    check(world)
    assert len(world.reader.told) == 3
    assert world.ingest.lost == []
    assert len(world.reader.words) == len(world.ingest.spoken) > 20


def test_the_check_sees_a_lost_word_and_a_doubled_one() -> None:
    for fault in ("lost", "twice"):
        world = World(1)
        world.run(2.5, is_speaking=True)
        finish(world)
        first = world.reader.told[0]
        text = first.text.partition(" ")[2] if fault == "lost" else f"{first.text} {first.text}"
        world.reader.told[0] = first.model_copy(update={"text": text})
        try:
            check(world)
        except AssertionError:
            continue
        raise AssertionError(f"a word {fault} is not seen")
