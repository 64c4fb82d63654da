"""The pictures in ARCHITECTURE.md are held against the code."""

import re
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PARTS = ("common", "ingest", "asr", "coach", "gateway", "tools")
SERVICES = ("ingest", "asr", "coach", "gateway")
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def test_the_import_diagram_is_the_import_graph() -> None:
    drawn = set(re.findall(r"^  (\w+) --> (\w+)$", TEXT.partition("%% imports")[2].partition("```")[0], re.M))
    graph = grimp.build_graph(*(f"fieldcoach.{part}" for part in PARTS))
    real = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = importer.split(".")[1], imported.split(".")[1]
            if pair[0] != pair[1]:
                real.add(pair)
    assert drawn == real


def test_the_subject_table_names_every_subject() -> None:
    from fieldcoach.common.subjects import Subjects

    subjects, some = Subjects("r"), "x" * 26
    made = [
        subjects.audio(some, some),
        subjects.ack(some),
        subjects.asr_heartbeat(),
        subjects.asr_claim(some),
        subjects.ingest_heartbeat(),
        subjects.signal(some),
        subjects.opus(some, some),
        subjects.partial(some),
        subjects.final(some),
        subjects.cue(some),
        subjects.control(some),
        subjects.coach_owner(some),
        subjects.coach_aggregate(),
    ]
    in_table = {
        re.sub(r"<(worker|ingest|sid)>", some, subject).replace("<r>", "r")
        for subject in re.findall(r"^\| `(fc\.v1\.[^`]+)`", TEXT, re.M)
    }
    assert in_table == set(made)


def test_every_service_has_the_same_skeleton() -> None:
    for service in SERVICES:
        folder = ROOT / "services" / service
        package = folder / "src" / "fieldcoach" / service
        for name in ("__main__.py", "service.py", "settings.py", "telemetry.py", "errors.py"):
            assert (package / name).exists(), f"{service} has no {name}"
        for name in ("README.md", "Dockerfile", "pyproject.toml"):
            assert (folder / name).exists(), f"{service} has no {name}"


def test_every_module_is_named_in_its_readme() -> None:
    for service in SERVICES:
        folder = ROOT / "services" / service
        readme = (folder / "README.md").read_text()
        for module in (folder / "src" / "fieldcoach" / service).rglob("*.py"):
            if module.name not in (
                "__init__.py",
                "__main__.py",
                "settings.py",
                "telemetry.py",
                "errors.py",
                "service.py",
            ):
                assert module.stem in readme, f"{folder.name}/README.md does not name {module.stem}"
