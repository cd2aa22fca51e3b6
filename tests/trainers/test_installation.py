"""nnU-Net's own search finds our trainer, and `anl-seg doctor` names problems."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

import anl_seg.trainers
from anl_seg.cli import main
from anl_seg.trainers import installation
from anl_seg.trainers.installation import (
    START_FILE,
    VARIABLES,
    discovery_folder,
    find_trainer,
)


@pytest.fixture
def healthy(tmp_path, monkeypatch):
    """A machine where all is well, also if anl-seg is installed in editable mode."""
    for name in VARIABLES:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("nnUNet_extTrainer", str(discovery_folder()))
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"))
    for name in ("nnUNet_n_proc_DA", "nnUNet_def_n_proc"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def doctor(capsys):
    try:
        main(["doctor"])
        code = 0
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().out


def test_nnunet_finds_the_trainer(healthy):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    module, _ = find_trainer()
    assert module == "anl_seg.trainers.trainer"
    assert issubclass(sys.modules[module].nnUNetTrainerANL, nnUNetTrainer)


def test_nnunet_finds_every_trainer(healthy, monkeypatch):
    from anl_seg.trainers import TRAINERS, trainer, variants

    public = {
        name
        for module in (trainer, variants)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, trainer.nnUNetTrainerANL)
    }
    assert len(public) == 10
    assert public == set(TRAINERS)
    assert public == load_discovery_module().NAMES
    for name in public:
        monkeypatch.setattr(installation, "TRAINER", name)
        assert find_trainer()[0] == f"anl_seg.trainers.{TRAINERS[name]}"


def test_the_package_gives_the_classes():
    from anl_seg.trainers import nnUNetTrainerANL, trainer, variants

    assert nnUNetTrainerANL is trainer.nnUNetTrainerANL
    assert anl_seg.trainers.nnUNetTrainerGCE is variants.nnUNetTrainerGCE
    with pytest.raises(AttributeError, match="no attribute 'nnUNetTrainerXYZ'"):
        anl_seg.trainers.nnUNetTrainerXYZ  # noqa: B018


def test_the_search_gives_the_same_class_every_time(healthy):
    find_trainer()
    first = sys.modules["anl_seg.trainers.trainer"].nnUNetTrainerANL
    find_trainer()
    assert sys.modules["anl_seg.trainers.trainer"].nnUNetTrainerANL is first


def test_the_discovery_folder_holds_one_module_and_no_package():
    # nnU-Net imports every module of a folder that nnUNet_extTrainer names
    names = [p.name for p in discovery_folder().iterdir() if p.name != "__pycache__"]
    assert names == ["nnUNetTrainerANL.py"]


def load_discovery_module():
    from importlib.util import module_from_spec, spec_from_file_location

    path = discovery_folder() / "nnUNetTrainerANL.py"
    spec = spec_from_file_location("shim", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_other_searches_find_nothing_in_it_and_import_nothing(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("anl_seg.trainers")]:
        monkeypatch.delitem(sys.modules, name)
    assert not hasattr(load_discovery_module(), "nnUNetTrainerDA5")
    assert not any(name.startswith("anl_seg.trainers") for name in sys.modules)


def test_a_broken_installation_says_why(monkeypatch):
    import builtins

    real = builtins.__import__

    def broken(name, *arguments, **keywords):
        if name == "anl_seg.trainers":
            raise AttributeError("module 'torch' has no attribute 'x'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ImportError, match="module 'torch' has no attribute 'x'"):
        hasattr(load_discovery_module(), "nnUNetTrainerANL")


def test_doctor_finds_no_problem(healthy, capsys):
    code, text = doctor(capsys)
    assert code == 0, text
    assert "WRONG" not in text
    for name in (*VARIABLES, "torch", "nnU-Net", "nnUNetTrainerANL", "nnUNetv2_train"):
        assert name in text


@pytest.mark.parametrize("name", VARIABLES)
def test_doctor_names_a_missing_variable_and_the_cure(healthy, monkeypatch, capsys, name):
    monkeypatch.delenv(name)
    code, text = doctor(capsys)
    assert code == 1
    assert f"cure: export {name}=" in text


def test_doctor_names_a_missing_folder(healthy, capsys):
    (healthy / "nnUNet_raw").rmdir()
    code, text = doctor(capsys)
    assert code == 1
    assert f"cure: mkdir -p {healthy / 'nnUNet_raw'}" in text


def test_doctor_sees_a_file_in_place_of_a_folder(healthy, capsys):
    (healthy / "nnUNet_raw").rmdir()
    (healthy / "nnUNet_raw").touch()
    code, text = doctor(capsys)
    assert code == 1
    assert f"WRONG nnUNet_raw: {healthy / 'nnUNet_raw'} is a file" in text
    assert "mkdir" not in text


def test_doctor_sees_an_external_folder_that_is_none(healthy, monkeypatch, capsys):
    kept = discovery_folder()
    (healthy / "file").touch()
    monkeypatch.setenv("nnUNet_extTrainer", f"{kept}:{healthy / 'file'}:{healthy / 'none'}")
    code, text = doctor(capsys)
    assert code == 1
    assert f"{healthy / 'file'}, {healthy / 'none'} is not a folder" in text
    assert f"cure: export nnUNet_extTrainer={kept}\n" in text


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("nnUNet_n_proc_DA", "0", "training only: nnUNet_n_proc_DA=0 nnUNetv2_train"),
        ("nnUNet_n_proc_DA", "-1", "unset nnUNet_n_proc_DA"),
        ("nnUNet_n_proc_DA", "two", "unset nnUNet_n_proc_DA"),
        ("nnUNet_def_n_proc", "0", "unset nnUNet_def_n_proc"),
        ("nnUNet_def_n_proc", "", "unset nnUNet_def_n_proc"),
    ],
)
def test_doctor_sees_numbers_with_which_nnunet_cannot_work(
    healthy, monkeypatch, capsys, name, value, cure
):
    monkeypatch.setenv(name, value)
    code, text = doctor(capsys)
    assert code == 1
    assert f"WRONG {name}: " in text
    assert cure in text


def test_doctor_accepts_other_numbers(healthy, monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_n_proc_DA", "4")
    monkeypatch.setenv("nnUNet_def_n_proc", "2")
    _, text = doctor(capsys)
    assert "ok    nnUNet_n_proc_DA: 4" in text
    assert "ok    nnUNet_def_n_proc: 2" in text


@pytest.mark.parametrize("ours", [True, False])
def test_repair_deletes_only_modules_of_earlier_versions(tmp_path, monkeypatch, ours):
    package = tmp_path / "nnunetv2"
    module = package / "training" / "nnUNetTrainer" / "nnUNetTrainerANL.py"
    module.parent.mkdir(parents=True)
    (package / "__init__.py").touch()
    text = "from anl_seg.trainers import nnUNetTrainerANL" if ours else "# of somebody else"
    module.write_text(text)
    spec = importlib.util.spec_from_file_location(
        "nnunetv2", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    with monkeypatch.context() as patch:
        patch.setattr(installation, "_is_hooked", lambda: True)
        patch.setattr(importlib.util, "find_spec", lambda name: spec)
        done = list(installation.repair())
    assert done == [f"deleted {module}, left by an earlier anl-seg"] * ours
    assert module.exists() == (not ours)


def test_what_python_runs_at_its_start_imports_almost_nothing(tmp_path):
    code = """if True:
        import sys
        for name in [name for name in sys.modules if name.startswith("anl_seg")]:
            del sys.modules[name]
        before = {*sys.modules, "__future__"}
        import anl_seg.trainers.hook
        print(*sorted(set(sys.modules) - before))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["anl_seg", "anl_seg.trainers", "anl_seg.trainers.hook"]


def test_a_start_file_without_anl_seg_does_nothing():
    file = Path(installation.__file__).with_name(START_FILE)
    code = "import sys; before = [*sys.meta_path]\n" + file.read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code + "print(before == sys.meta_path)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_doctor_sees_another_environments_nnunet(healthy, monkeypatch, capsys):
    other = healthy / "bin"
    other.mkdir()
    (other / "nnUNetv2_train").write_text("#!/bin/sh\n")
    (other / "nnUNetv2_train").chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    code, text = doctor(capsys)
    assert code == 1
    assert "belongs to another environment" in text


def test_doctor_sees_that_the_trainer_is_not_found(healthy, monkeypatch, capsys):
    monkeypatch.setattr(installation, "TRAINER", "nnUNetTrainerANLx")
    code, text = doctor(capsys)
    assert code == 1
    assert "does not find it" in text


def test_trainers_path_prints_the_folder(capsys):
    main_code = None
    try:
        main(["trainers-path"])
    except SystemExit as stop:
        main_code = stop.code
    assert not main_code
    assert capsys.readouterr().out.strip() == str(discovery_folder())
