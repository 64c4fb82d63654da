"""The `fieldcoach bench` commands: one for each benchmark, with its own options."""

from pathlib import Path
from typing import Annotated

import typer

from .project import project_root
from .running import reported, run

bench = typer.Typer(help="Measure, and report by name.", no_args_is_help=True)

Quick = Annotated[bool, typer.Option("--quick", help="End within a minute")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object as the last line")]
Visits = Annotated[Path | None, typer.Option(help="Other visits of the same format")]


@bench.command()
def failover(quick: Quick = False, as_json: AsJson = False, visits: Visits = None) -> None:
    """What a dying worker or bus costs sixty sessions, fault by fault."""
    from .bench.failover import bench_failover
    from .bench.report import report

    with reported():
        run(report(lambda console: bench_failover(project_root(), quick, visits, console), as_json))


@bench.command()
def visit(quick: Quick = False, as_json: AsJson = False, visits: Visits = None) -> None:
    """Whole visits: words, cues, orders, and where the time goes."""
    from .bench.report import report
    from .bench.visit import bench_visit

    with reported():
        run(report(lambda console: bench_visit(project_root(), quick, visits, console), as_json))


@bench.command()
def ingest(
    quick: Quick = False,
    as_json: AsJson = False,
    visits: Visits = None,
    sessions: Annotated[str, typer.Option(help="Phones at once, one run each: 50,100,200")] = "",
) -> None:
    """The CPU of a packet and of a session; beside it stock aiortc."""
    from .bench.ingest import bench_ingest
    from .bench.report import report

    with reported():
        numbers = numbers_of("--sessions", sessions)
        run(report(lambda console: bench_ingest(project_root(), quick, visits, console, numbers), as_json))


@bench.command()
def asr(
    quick: Quick = False,
    as_json: AsJson = False,
    visits: Visits = None,
    minutes: Annotated[float | None, typer.Option(min=0.2, help="Of replay at each number (10)")] = None,
    sessions: Annotated[str, typer.Option(help="Sessions at once, one run each: 10,20,40")] = "",
    noise: Annotated[Path | None, typer.Option(help="Recordings in which nobody speaks")] = None,
    speech: Annotated[Path | None, typer.Option(help="Recordings of one turn each")] = None,
) -> None:
    """Sessions per core of the recogniser, and what they get; beside it LocalAgreement."""
    from .bench.asr.command import AsrPlan, bench_asr
    from .bench.report import report

    with reported():
        numbers = numbers_of("--sessions", sessions)
        plan = AsrPlan(project_root(), quick, visits, minutes, numbers, noise, speech)
        run(report(lambda console: bench_asr(plan, console), as_json))


@bench.command()
def engines(
    quick: Quick = False,
    as_json: AsJson = False,
    visits: Visits = None,
    speech: Annotated[Path | None, typer.Option(help="Recordings of one turn each, with a manifest")] = None,
) -> None:
    """What each engine hears of whole utterances, by language."""
    from .bench.asr.engines import bench_engines
    from .bench.report import report

    with reported():
        run(report(lambda console: bench_engines(project_root(), quick, visits, speech, console), as_json))


@bench.command()
def coach(
    quick: Quick = False,
    as_json: AsJson = False,
    visits: Visits = None,
    audio: Annotated[bool, typer.Option("--audio", help="The recorded ones as whole visits, too")] = False,
) -> None:
    """Whether the rules are right, rare and on time, on perfect words and on misheard ones."""
    from .bench.coach import bench_coach
    from .bench.report import report

    with reported():
        run(report(lambda console: bench_coach(project_root(), quick, visits, console, audio), as_json))


@bench.command()
def network(
    quick: Quick = False,
    as_json: AsJson = False,
    visits: Visits = None,
    networks: Annotated[str | None, typer.Option(help="Only these loss levels, l05b3,l20b1")] = None,
    at_once: Annotated[int | None, typer.Option(min=1, help="Visits in parallel")] = None,
    profiles: Annotated[
        str | None, typer.Option(help="Instead: minutes through these networks, 3g,2g-bad, or all")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.2, help="Of each profile (3)")] = None,
    wire: Annotated[bool, typer.Option("--wire", help="Instead: kbps of each rung, in Chromium")] = False,
    plots: Annotated[Path | None, typer.Option(help="A folder for SVG plots")] = None,
) -> None:
    """What loss, bad networks and the rungs of the ladder make of a visit; beside it stock aiortc."""
    from .bench.network_choice import NetworkChoice
    from .bench.report import report

    with reported():
        benchmark = NetworkChoice(networks, at_once, profiles, minutes, wire, plots).benchmark()
        run(report(lambda console: benchmark(project_root(), quick, visits, console), as_json))


@bench.command()
def soak(
    as_json: AsJson = False,
    sessions: Annotated[int, typer.Option(min=1, help="Phones at once")] = 100,
    churn: Annotated[float, typer.Option(min=0, help="Percent of them replaced each minute")] = 5.0,
    minutes: Annotated[float, typer.Option(min=0.5, help="How long")] = 30.0,
    plot: Annotated[Path | None, typer.Option(help="Write the plot (SVG) here")] = None,
) -> None:
    """Many phones that come and go: whether the ingest's process stays flat."""
    from .bench.report import report
    from .bench.soak import SoakPlan, bench_soak

    with reported():
        plan = SoakPlan(sessions, churn, minutes, plot)
        run(report(lambda console: bench_soak(project_root(), plan, console), as_json))


def numbers_of(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers with commas between, in rising order.

    Raises:
        BadParameter: something else.
    """
    try:
        numbers = tuple(sorted({int(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise typer.BadParameter(f"{option} {text}: give whole numbers with commas, as 50,100") from None
    if any(number < 1 for number in numbers):
        raise typer.BadParameter(f"{option} {text}: at least 1")
    return numbers
