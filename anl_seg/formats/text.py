"""Readers of JSON and YAML files written by people. Errors name the wrong line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from anl_seg.errors import InputError

#: Byte-order marks of encodings other than UTF-8. UTF-32 is first, because its mark begins with
#: UTF-16's.
FOREIGN_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_text(path: Path, *, names: bool = False) -> str:
    """Read a UTF-8 text, with or without a byte-order mark.

    Args:
        path: The file.
        names: Whether the text contains file names. Bytes that are not UTF-8 are then kept as in
            Python's paths.

    Raises:
        InputError: If the file has another encoding. The message names line and column.
        OSError: If the file does not exist or cannot be read.
    """
    content = path.read_bytes()
    for mark, encoding in FOREIGN_MARKS:
        if content.startswith(mark):
            raise InputError(f"{path}: is {encoding} text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig", "surrogateescape" if names else "strict")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        where = _place(before.count(b"\n"), len(before) - (before.rfind(b"\n") + 1))
        raise InputError(
            f"{path}: {where}: byte 0x{error.object[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from error


def read_json(path: Path) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """Read a JSON file.

    Raises:
        InputError: If the file is not UTF-8, has a syntax error (the message names line and
            column), or repeats a key in an object.
        OSError: If the file does not exist or cannot be read.
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        where = _place(error.lineno - 1, error.colno - 1)
        raise InputError(f"{path}: {where}: {error.msg}; correct the JSON there") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # digits or nesting without end
        raise InputError(f"{path}: {error}; correct the JSON") from error


def read_yaml(path: Path) -> Any:  # noqa: ANN401 (whatever YAML holds)
    """Read a YAML file of plain values (`yaml.safe_load`), and refuse ambiguous ones.

    Raises:
        InputError: If the file is not UTF-8, has a syntax error, repeats a key in a mapping, or
            contains a number with a leading zero (octal: 010 is 8) or with colons (base 60: 1:30 is
            90). The message names line and column.
        OSError: If the file does not exist or cannot be read.
    """
    import yaml

    text = read_text(path)
    try:
        return yaml.load(text, _strict_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = _place(mark.line, mark.column) if mark else "YAML"
        found = error.problem or error.context
        raise InputError(f"{path}: {where}: {found}; correct the YAML there") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = _place(before.count("\n"), len(before) - (before.rfind("\n") + 1))
        raise InputError(
            f"{path}: {where}: character U+{error.character:04X} is not allowed in YAML; delete it"
        ) from error
    except (ValueError, RecursionError) as error:  # such as the date 2017-02-30
        raise InputError(f"{path}: {error}; correct the YAML") from error


def _place(line: int, column: int) -> str:
    """Format a position counted from zero as editors show it, counted from one."""
    return f"line {line + 1}, column {column + 1}"


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise InputError(f"the key {json.dumps(key)} occurs twice in one object; keep one")
        content[key] = value
    return content


def _strict_loader() -> type[Any]:
    """Build a strict `yaml.SafeLoader`, on first use because importing yaml takes time."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401
            # Keys are compared here, because construction flattens merges (<<) into the mapping.
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (key.tag, key.value) in seen:
                    _refuse(key, f"the key {key.value!r} occurs twice in one mapping")
                seen.add((key.tag, key.value))
            return node

        def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:  # noqa: ANN401
            node = super().compose_scalar_node(anchor)
            if node.style is None and re.fullmatch(r"[-+]?0[0-9][0-9_]*", node.value):
                _refuse(node, f"{node.value} has a leading zero, which makes a number octal")
            numeric = node.tag.rpartition(":")[2] in ("int", "float")
            if node.style is None and numeric and ":" in node.value:
                _refuse(node, f"{node.value} would be a number in base 60; put it in quotes")
            return node

    def _refuse(node: yaml.ScalarNode, problem: str) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

    return StrictLoader
