"""`anl-seg isic` from the outside: files, output and errors."""

from __future__ import annotations

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anl_seg.cli import main
from anl_seg.datasets import isic2017, phantom


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["isic", *map(str, arguments)])
    return stop.value.code


@pytest.fixture
def src(tmp_path):
    phantom.write_challenge_layout(tmp_path / "src", n_train=2, n_test=1, size=32, seed=0)
    return tmp_path / "src"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw"


def test_converts_into_nnunet_raw_and_names_the_next_command(src, raw, capsys):
    assert run(src, "--dataset-id", 501, "--size", 16) == 0
    assert len(list((raw / "Dataset501_ISIC2017/imagesTr").iterdir())) == 2
    printed = capsys.readouterr().out
    assert "2 training and 1 test pairs, 16x16" in printed
    assert "nnUNetv2_plan_and_preprocess -d 501" in printed


def test_output_folder_name_and_no_test_set(src, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    shutil.rmtree(src / isic2017.TEST_IMAGES)
    shutil.rmtree(src / isic2017.TEST_MASKS)
    assert run(src, "-d", 7, "--name", "Skin", "-o", tmp_path / "out") == 0
    assert (tmp_path / "out/Dataset007_Skin/dataset.json").is_file()
    printed = capsys.readouterr().out
    assert "2 training and no test pairs, 256x256" in printed
    assert f"export nnUNet_raw={tmp_path / 'out'}" in printed


@pytest.fixture
def site(src, tmp_path, monkeypatch):
    """Serve the four archives on this machine, without resuming."""
    for folder in src.iterdir():
        shutil.make_archive(str(tmp_path / "site" / folder.name), "zip", src, folder.name)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / "site")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(isic2017, "ARCHIVES_URL", url)
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


def test_download_fetches_unpacks_and_converts(site, raw, tmp_path):
    assert run(tmp_path / "fetched", "-d", 501, "--download") == 0
    assert len(list((raw / "Dataset501_ISIC2017/labelsTs").iterdir())) == 1
    assert len(list((tmp_path / "fetched").glob("*.zip"))) == 4


def test_bad_input_is_one_line_and_exit_code_2(src, raw, capsys):
    (src / isic2017.TRAINING_MASKS / "ISIC_9000000_segmentation.png").write_text("text")
    assert run(src, "-d", 501) == 2
    error = capsys.readouterr().err
    assert error.startswith("anl-seg: error: ")
    assert "ISIC_9000000_segmentation.png is not an image" in error
    assert error.count("\n") == 1
    assert list(raw.iterdir()) == []


def test_nnunet_raw_not_set(src, monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    assert run(src, "-d", 501) == 2
    assert "export nnUNet_raw=" in capsys.readouterr().err


def test_id_that_is_taken(src, raw, capsys):
    (raw / "Dataset501_Other").mkdir(parents=True)
    assert run(src, "-d", 501) == 2
    assert "Dataset501_Other already has the data set id 501" in capsys.readouterr().err


def test_unwritable_destination(src, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(src, "-d", 501, "-o", tmp_path / "file") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("-d", 0), ("-d", 1000), ("-d", 501, "--size", 1), ()])
def test_arguments_out_of_range(src, raw, arguments):
    assert run(src, *arguments) == 2
