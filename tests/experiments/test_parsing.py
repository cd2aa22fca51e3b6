"""Settings from the texts and values that people write."""

from __future__ import annotations

from pathlib import Path

import pytest

from anl_seg.errors import InputError
from anl_seg.experiments.parsing import convert, given_settings, parse_settings


def test_settings_from_texts():
    texts = [
        "epochs=3",
        "delta=1e-5",
        "precision=bf16",
        "small=true",
        "iterations=null",
        "data=a=b",
    ]
    assert parse_settings(texts) == {
        "epochs": 3,
        "delta": 1e-5,
        "precision": "bf16",
        "small": True,
        "iterations": None,
        "data": "a=b",
    }


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs="])
def test_texts_that_are_no_settings(text):
    with pytest.raises(InputError, match="NAME=VALUE"):
        parse_settings([text])


def test_a_setting_given_twice():
    with pytest.raises(InputError, match="--set epochs is given twice"):
        parse_settings(["epochs=1", "epochs=2"])


def test_a_setting_given_by_its_option_and_by_set():
    options = {"--dataset protocol": "digits", "--data": Path("folder"), "--eta": None}
    assert given_settings(options, ["eta=0.2"]) == {
        "eta": 0.2, "protocol": "digits", "data": "folder"
    }  # fmt: skip
    told = "--set protocol and --dataset set the same; use --dataset alone"
    with pytest.raises(InputError, match=told):
        given_settings(options, ["protocol=mnist"])
    with pytest.raises(InputError, match="--set data and --data set the same; use --data alone"):
        given_settings(options, ["data=other"])


def test_lists_of_names():
    hints = {"kinds": tuple[str, ...]}
    assert convert(hints, {"kinds": "erosion"}) == {"kinds": ("erosion",)}
    assert convert(hints, {"kinds": ["erosion", "affine"]}) == {"kinds": ("erosion", "affine")}
    with pytest.raises(InputError, match="kinds must be a list of texts, got 3"):
        convert(hints, {"kinds": 3})
