"""Real installations of nnU-Net and anl-seg, regular and editable: none harms the other."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

import nnunetv2

from anl_seg.trainers.installation import START_FILE, TRAINER, VARIABLES


def missing_tools():
    """List the missing tools for building both packages without a network."""
    wanted = {"pip": 23, "setuptools": 77}
    missing = []
    for name, least in wanted.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "0"
        if int(found.split(".")[0]) < least:
            missing.append(f"{name}>={least}")
    return missing


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}"),
]

CHECKOUT = Path(__file__).resolve().parents[2]
VERSION = importlib.metadata.version("nnunetv2")
COMMAND = "nnunetv2.run.run_training:run_training_entry"
NNUNET_PROJECT = f"""
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "nnunetv2"
version = "{VERSION}"
[project.scripts]
nnUNetv2_train = "{COMMAND}"
[tool.setuptools.packages.find]
include = ["nnunetv2*"]
"""

#: Looks for a class of every kind as nnU-Net's commands do.
SEARCH = """
import json, sys
from pathlib import Path
import nnunetv2
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class as find

def found(*place, name):
    folder = Path(nnunetv2.__path__[0], *place)
    found = find(str(folder), name, ".".join(["nnunetv2", *place]))
    return found and f"{found.__module__}.{found.__qualname__}"

print(json.dumps({
    "file": nnunetv2.__file__,
    "trainer": found("training", "nnUNetTrainer", name="nnUNetTrainer"),
    "variant": found("training", "nnUNetTrainer", name="nnUNetTrainerDA5"),
    "planner": found("experiment_planning", name="ExperimentPlanner"),
    "reader": found("imageio", name="NaturalImage2DIO"),
    "ours": found("training", "nnUNetTrainer", name=sys.argv[1]),
    "none": found("training", "nnUNetTrainer", name="nnUNetTrainerNone"),
}))
"""
NNUNET_CLASSES = {
    "trainer": "nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer",
    "variant": "nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5"
    ".nnUNetTrainerDA5",
    "planner": "nnunetv2.experiment_planning.experiment_planners.default_experiment_planner"
    ".ExperimentPlanner",
    "reader": "nnunetv2.imageio.natural_image_reader_writer.NaturalImage2DIO",
    "none": None,
}
OURS = f"anl_seg.trainers.trainer.{TRAINER}"


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory):
    """A folder with everything that is installed here, except nnU-Net and anl-seg."""
    folder = tmp_path_factory.mktemp("dependencies")
    ours = ("nnunetv2", "anl_seg", "anl-seg", "__editable__")
    for place in filter(os.path.isdir, sys.path):
        if Path(place).name not in {"site-packages", "dist-packages"}:
            continue
        for entry in Path(place).iterdir():
            link = folder / entry.name
            if not entry.name.startswith(ours) and entry.suffix != ".pth" and not link.exists():
                link.symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Source folders of both, and a wheel of each."""
    root = tmp_path_factory.mktemp("sources")
    nnunet = root / "nnU-Net"
    caches = shutil.ignore_patterns("__pycache__")
    package = Path(next(iter(nnunetv2.__path__)))
    shutil.copytree(package, nnunet / "nnunetv2", ignore=caches)
    (nnunet / "pyproject.toml").write_text(NNUNET_PROJECT)
    ours = root / "anl-seg"
    for name in ("anl_seg", "noise", "trainers"):
        shutil.copytree(CHECKOUT / name, ours / name, ignore=caches)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, ours)
    run_pip("wheel", "--no-deps", "--no-build-isolation", "-w", root, nnunet, ours)
    shutil.rmtree(nnunet / "build")  # an editable install would find packages in it
    shutil.rmtree(ours / "build")
    wheels = {name: next(root.glob(f"{name}-*.whl")) for name in ("nnunetv2", "anl_seg")}
    return {
        "nnU-Net regular": [wheels["nnunetv2"]],
        "nnU-Net editable": ["-e", nnunet],
        "anl-seg regular": [wheels["anl_seg"]],
        "anl-seg editable": ["-e", ours],
    }


def run_pip(*arguments, python=sys.executable):
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run([*command, *arguments, *(["-y"] if arguments[0] == "uninstall" else ["-q"])])


def run(command, **keywords):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **keywords
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Environment:
    """A virtual environment that has the dependencies of both, and neither of them."""

    def __init__(self, root, dependencies):
        run([sys.executable, "-m", "venv", "--without-pip", root])
        self.scripts = root / "bin"
        self.python = self.scripts / "python"
        self.packages = next(root.glob("lib/python*/site-packages"))
        (self.packages / "dependencies.pth").write_text(f"{dependencies}\n")
        self.variables = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("nnUNet", "PYTHON"))
        }
        self.variables["PATH"] = f"{self.scripts}{os.pathsep}{os.environ['PATH']}"
        for name in VARIABLES:
            (root / name).mkdir()
            self.variables[name] = str(root / name)

    def install(self, source):
        run_pip("install", "--no-deps", "--no-build-isolation", *source, python=self.python)

    def uninstall(self, name):
        run_pip("uninstall", name, python=self.python)

    def run(self, *arguments):
        return run([self.python, *arguments], env=self.variables, cwd=self.packages.parent)

    def search(self):
        return json.loads(self.run("-c", SEARCH, TRAINER))

    def where(self, name):
        code = f"import importlib.util as u; s = u.find_spec({name!r}); print(s and s.origin)"
        return self.run("-c", code).strip()

    def doctor(self, *options):
        done = subprocess.run(
            [self.scripts / "anl-seg", "doctor", *options],
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def environment(tmp_path, dependencies):
    return Environment(tmp_path / "environment", dependencies)


def assert_whole(found):
    assert {name: found[name] for name in NNUNET_CLASSES} == NNUNET_CLASSES


@pytest.mark.parametrize("first", ["nnU-Net", "anl-seg"])
@pytest.mark.parametrize("ours", ["regular", "editable"])
@pytest.mark.parametrize("nnunet", ["regular", "editable"])
def test_both_work_in_either_order_and_leave_nothing(environment, sources, nnunet, ours, first):
    order = [f"nnU-Net {nnunet}", f"anl-seg {ours}"]
    for name in order if first == "nnU-Net" else reversed(order):
        environment.install(sources[name])
    found = environment.search()
    assert_whole(found)
    assert found["ours"] == OURS
    expected = sources[order[0]][-1] if nnunet == "editable" else environment.packages
    assert found["file"] == str(expected / "nnunetv2" / "__init__.py")
    assert not any(path.parts[-1] == f"{TRAINER}.py" for path in expected.glob("nnunetv2/**/*.py"))

    if first == "nnU-Net":
        environment.uninstall("anl-seg")
        left = environment.search()
        assert_whole(left)
        assert left["ours"] is None
        assert not (environment.packages / START_FILE).exists()
    else:
        environment.uninstall("nnunetv2")
        assert environment.where("nnunetv2") == "None"
        assert environment.where("anl_seg").endswith("__init__.py")


def test_doctor_mends_what_earlier_versions_left(environment, sources):
    environment.install(sources["nnU-Net editable"])
    environment.install(sources["anl-seg regular"])
    old = environment.packages / "nnunetv2" / "training" / "nnUNetTrainer"
    (old / "__pycache__").mkdir(parents=True)
    (old / "__pycache__" / "nnUNetTrainerANL.cpython-311.pyc").write_bytes(b"")
    (environment.packages / START_FILE).unlink()
    assert environment.where("nnunetv2") == "None"  # it is hidden

    code, text = environment.doctor()
    assert code == 1
    assert f"WRONG nnU-Net: hidden by {environment.packages / 'nnunetv2'}" in text
    assert "cure: anl-seg doctor --fix" in text
    code, text = environment.doctor("--fix")
    assert code == 0, text
    assert text.count("fixed ") == 2
    assert_whole(found := environment.search())
    assert found["ours"] == OURS

    (old / "mine.py").parent.mkdir(parents=True)
    (old / "mine.py").write_text("# not anl-seg's\n")
    code, text = environment.doctor("--fix")
    assert code == 1
    assert f"cure: delete {environment.packages / 'nnunetv2'}" in text
    assert (old / "mine.py").is_file()
