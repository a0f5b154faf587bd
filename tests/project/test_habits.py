"""What people expect of a project they might join: a map, citations, CI, hooks, small files."""

import re
import tomllib
from pathlib import Path

import yaml

import hmnet_lite
from tests.project.test_repo import makefile_targets, tracked_files

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def load(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_every_author():
    citation = load("CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["authors"]
    assert citation["version"] == hmnet_lite.__version__
    papers = citation["references"]
    for paper in ("Hybrid Mamba", "ReMamber", "Potential of the Diffusion Model"):
        assert any(paper in reference["title"] for reference in papers)
    for reference in papers:
        assert reference["year"] and reference["url"].startswith("https://")
        assert all(
            {"given-names", "family-names"} <= set(author) for author in reference["authors"]
        )


def test_the_changelog_has_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S.*)$", text, re.MULTILINE)
    assert hmnet_lite.__version__ in versions and versions[0] in ("Not released", versions[-1])


def test_contributing_is_a_page_whose_links_and_commands_lead_somewhere():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^):#]+)\)", text)
    assert len(links) >= 10
    assert [link for link in links if not (ROOT / link).exists()] == []
    paths = re.findall(r"(?:pytest|--nbval-lax) (tests\S*|notebooks/\S+)", text)
    assert paths and all((ROOT / path).exists() for path in paths)
    assert set(re.findall(r"^make (\w+)", text, re.MULTILINE)) <= set(makefile_targets())
    assert len(text.splitlines()) <= 70


def test_ci_runs_the_readme_s_commands_on_the_oldest_and_newest_python():
    oldest, newest = re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"])
    jobs = load(".github/workflows/tests.yml")["jobs"]
    linux = jobs["linux"]
    claimed = [f"3.{oldest}", f"3.{int(newest) - 1}"]
    assert linux["strategy"]["matrix"]["python"] == claimed
    commands = [step["run"] for step in linux["steps"] if "run" in step]
    assert commands == ["make workbook", "make test"]
    for job in jobs.values():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+(\.\d+)*", name) for name in used)
    systems = " ".join(jobs["elsewhere"]["strategy"]["matrix"]["system"])
    assert "macos" in systems and "windows" in systems
    for step in jobs["elsewhere"]["steps"]:
        for path in re.findall(r"tests/\S+", step.get("run", "")):
            assert (ROOT / path).is_dir(), path


def test_hooks_call_the_ruff_that_is_installed():
    """A version of their own would be a second one to keep."""
    hooks = [hook for repo in load(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [hook["entry"].split()[:4] for hook in hooks] == [
        [".venv/bin/python", "-m", "ruff", command] for command in ("check", "format")
    ]


def test_types_come_with_the_packages():
    for package, folder in (("hmnet_lite", "hmnet_lite"), ("hmnet_kernels", "kernels")):
        assert (ROOT / folder / "py.typed").is_file()
        assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"][package]


def test_every_room_is_installed_and_says_its_rule_in_one_sentence():
    rooms = [p.parent for p in tracked_files() if p.name == "__init__.py"]
    rooms = [p for p in rooms if p.relative_to(ROOT).parts[0] in ("hmnet_lite", "kernels")]
    names = {".".join(room.relative_to(ROOT).parts) for room in rooms}
    installed = PROJECT["tool"]["setuptools"]["packages"]
    files = {"hmnet_lite.data_samples"}  # no room: drawings and networks that travel along
    assert {name.replace("kernels", "hmnet_kernels") for name in names} == set(installed) - files
    for room in rooms:
        first = (room / "__init__.py").read_text(encoding="utf-8").split('"""')[1].split("\n\n")[0]
        assert first.rstrip().endswith("."), room


def test_both_maps_of_the_house_show_every_room_and_nothing_else():
    house = [p for p in tracked_files() if p.relative_to(ROOT).parts[0] == "hmnet_lite"]
    parts = [p.relative_to(ROOT / "hmnet_lite").parts for p in house if p.suffix == ".py"]
    rooms = {folder for folder, *below in parts if below}
    ground = {file.removesuffix(".py") for file, *below in parts if not below} - {
        "__init__", "__main__",
    }  # fmt: skip
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Where things are")[1]
    listed = re.findall(r"^\| · (.*?) \|(.*)\|$", table, re.MULTILINE)
    assert {name.strip("`/") for name, _ in listed} == {*rooms, "the ground"}
    assert set(re.findall(r"`(\w+)\.py`", dict(listed)["the ground"])) == ground
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[3]
    floors = [
        re.split(r"  ", line)[0] for line in tree.splitlines() if line and "kernels" not in line
    ]
    shown = {re.match(r"\w+", name)[0] for floor in floors for name in re.split(r" · ", floor)}
    assert shown == rooms | ground
