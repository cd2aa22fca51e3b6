"""JSON and YAML: content, and lines named in errors."""

from __future__ import annotations

import json

import pytest
import yaml

from anl_seg.errors import InputError
from anl_seg.formats.text import read_json, read_text, read_yaml

READERS = [read_json, read_yaml]


def write(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_accepted(tmp_path, read, mark):
    path = write(tmp_path, mark + '{"Läsion": [1, 2.5, null, true, "x"]}'.encode())
    assert read(path) == {"Läsion": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_named(tmp_path, read, encoding):
    with pytest.raises(InputError, match=f"is {encoding.upper()} text; save it as UTF-8"):
        read(write(tmp_path, '{"a": 1}'.encode(encoding)))


@pytest.mark.parametrize("read", [*READERS, read_text])
def test_latin_1_is_shown_with_its_place(tmp_path, read):
    path = write(tmp_path, '{"a": 1,\n "Läsion": 2}'.encode("latin-1"))
    with pytest.raises(InputError, match="line 2, column 4: byte 0xe4 is not UTF-8") as error:
        read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_json, '{"a": 1,\n"b": }', "line 2, column 6: Expecting value"),
        (read_json, "", "line 1, column 1: Expecting value"),
        (read_json, '{"a": 1} x', "line 1, column 10: Extra data"),
        (read_json, '{"a": 1, "b": {"c": 1, "c": 2}}', 'the key "c" occurs twice'),
        (read_json, "1" * 5000, "digits"),
        (read_json, "[" * 200_000, "recursion"),
        (read_yaml, "a: [1,\nb: 2", "line 2, column 5"),
        (read_yaml, "a: 1\n b: 2", "line 2, column 3"),
        (read_yaml, "a:\n\tb: 2", "line 2, column 1: found character"),
        (read_yaml, "a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' occurs twice"),
        (read_yaml, "base: {seed: 1, 'seed': 2}", "column 17: the key 'seed' occurs twice"),
        (read_yaml, "x:\n- {a: 1}\n- {b: 1, b: 1}", "line 3, column 10: the key 'b' occurs twice"),
        (read_yaml, "seed: 010", "line 1, column 7: 010 has a leading zero"),
        (read_yaml, "seeds: [1, -08]", "column 12: -08 has a leading zero"),
        (read_yaml, "time: 1:30", "1:30 would be a number in base 60"),
        (read_yaml, "a: !!python/object:os.system x", "column 4: could not determine"),
        (read_yaml, "a: *b", "column 4: found undefined alias"),
        (read_yaml, "a: 1\nb: \x07", "line 2, column 4: character U\\+0007"),
        (read_yaml, "a: 1\n---\nb: 2", "line 2, column 1"),
        (read_yaml, "day: 2017-02-30", "day is out of range"),
    ],
)
def test_wrong_text_is_shown_with_its_place(tmp_path, read, text, message):
    with pytest.raises(InputError, match=message) as error:
        read(write(tmp_path, text))
    assert str(tmp_path / "a.txt") in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_an_absent_file_is_an_os_error(tmp_path):
    for read in READERS:
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "absent")


def test_valid_text_is_read_as_by_the_libraries(tmp_path):
    text = (
        "base: &b {lr: 0.01, delta: 5.0e-6, zero: 0, tiny: 1e-6, bar: '010', when: '1:30'}\n"
        "grid: {<<: *b, lr: 0.1}\n"
        "again: {<<: *b}\n"
        "runs: [{a: 1, nested: {a: 2}}, {a: 1}]\n"
    )
    path = write(tmp_path, text)
    assert read_yaml(path) == yaml.safe_load(text)
    assert read_yaml(path)["grid"]["lr"] == 0.1
    content = {"a": [{"a": 1}, {"a": 1}], "b": float("inf")}
    assert read_json(write(tmp_path, json.dumps(content))) == content
