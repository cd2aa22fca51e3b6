"""`anl-seg convert` end to end, with nnU-Net's own integrity check."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from anl_seg.cli import main
from anl_seg.errors import InputError


@pytest.fixture
def own_data(tmp_path):
    for folder in ("images", "masks", "raw"):
        (tmp_path / folder).mkdir()
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 6:25] = 255
    for i in range(3):
        Image.fromarray(np.stack([mask] * 3, -1) // 2).save(tmp_path / f"images/p{i}.png")
        Image.fromarray(mask).save(tmp_path / f"masks/p{i}_mask.png")
    return tmp_path


def test_own_images_and_masks_become_a_data_set(own_data, capsys):
    arguments = ["convert", str(own_data / "images"), str(own_data / "masks"), "-d", "510"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "-o", str(own_data / "raw"), "--name", "Mine"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert "3 training and 0 test pairs" in printed
    assert "0 background, 1 foreground" in printed
    assert "nnUNetv2_plan_and_preprocess -d 510 -c 2d" in printed
    assert (own_data / "raw/Dataset510_Mine/labelsTr/p0.png").exists()


def test_what_nnunet_refuses_leaves_nothing_behind(own_data, capfd):
    colours = own_data / "colors.csv"
    colours.write_text("name,color\nbackground,#000000\nignore,#ffffff\nlesion,#ff0000\n")
    arguments = ["convert", str(own_data / "images"), str(own_data / "masks"), "-d", "510"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "-o", str(own_data / "raw"), "--colors", str(colours), "-np", "1"])
    assert ended.value.code == 2
    assert "integrity check found: " in capfd.readouterr().err
    assert not list((own_data / "raw").iterdir())


def test_what_nnunet_finds_fault_with_is_said(own_data):
    from anl_seg.datasets.image_folders import convert
    from anl_seg.trainers.integrity import check_integrity

    done = convert(own_data / "images", own_data / "masks", own_data / "Dataset510_X")
    Image.fromarray(np.full((32, 32), 3, np.uint8)).save(done.folder / "labelsTr/p0.png")
    with pytest.raises(InputError, match="nnU-Net's integrity check"):
        check_integrity(done.folder, 1)
