"""The coach's instruments. Labels are rules, outcomes and reasons, never a session or words."""

from fieldcoach.common.telemetry import Counters, StageHistogram

from .tally import CueTally


class CoachTelemetry:
    """Counters and histograms of one process."""

    def __init__(self) -> None:
        self.cues = Counters(
            "coach_cues", "outcome", "Cue candidates by what became of them: fired, or the rule"
        )
        self.waits = Counters("coach_cue_waits", "rule", "Cue candidates that a limit held back for a while")
        self.acks = Counters("coach_cue_acks", "action", "What phones did with cues")
        self.llm = Counters("coach_llm", "outcome", "Calls of the language model: used, none, or the fault")
        self.sessions = Counters("coach_sessions", "event", "Visits taken, adopted, released, refused, ended")
        self.tally = CueTally()
        self.playbooks = Counters(
            "coach_playbooks", "event", "Playbook files loaded, reloaded, rejected, kept-last-good, removed"
        )
        self.faults = Counters("coach_faults", "reason", "What went wrong, by reason")
        self.coach = StageHistogram("coach", "From the receipt of a final to its decision, cue published")
