"""Typed attributes of shower files: texts, numbers, and the JSON of metadata and geometries."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.errors import DataError, FormatError, GeometryError, bad, clipped, shown
from caloforge.formats.base import check_stack
from caloforge.geometry import geometry_from_json
from caloforge.markup import parse_json
from caloforge.showers import ShowerMeta

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import h5py

    from caloforge.geometry import Geometry

__all__ = [
    "Attributes",
    "agreed_geometry",
    "check_fingerprint",
    "damaged",
    "geometry_attribute",
    "integer_attribute",
    "meta_attribute",
    "number_attribute",
    "object_attribute",
    "says",
    "text_attribute",
]


class Attributes(NamedTuple):
    """Texts of a file that is no HDF5, for what is read out of attributes.

    Attributes:
        filename: Of the file.
        attrs: Texts by name.
    """

    filename: str
    attrs: Mapping[str, str]


def text_attribute(file: h5py.File, name: str) -> str:
    """An attribute that is a text; "" when there is none.

    Raises:
        FormatError: It is something else.
    """
    value = file.attrs.get(name, "")
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise damaged(file, name, error) from error
    if not isinstance(value, str):
        raise damaged(file, name, f"it is no text but {type(value).__name__}")
    return value


def says(file: h5py.File, name: str, text: str) -> bool:
    """Whether an attribute is this text; anything else is no error, as the file may be of any program."""
    value = file.attrs.get(name, "")
    return isinstance(value, str | bytes) and value in {text, text.encode()}


def integer_attribute(file: h5py.File, name: str, default: int) -> int:
    """An attribute that is a whole number.

    Raises:
        FormatError: It is something else.
    """
    value = file.attrs.get(name, default)
    if not isinstance(value, int | np.integer):
        raise damaged(file, name, f"got {clipped(str(value), 40)}, expected a whole number")
    return int(value)


def number_attribute(file: h5py.File, name: str, default: float | None = None) -> float:
    """An attribute that is a finite number and not negative.

    Raises:
        FormatError: It is something else, or missing without a default.
    """
    value = file.attrs.get(name, default)
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if value is None or not real or not math.isfinite(value) or value < 0:
        got = "nothing" if value is None else clipped(str(value), 40)
        raise damaged(file, name, f"got {got}, expected a finite number from 0 upwards")
    return float(value)


def object_attribute(file: h5py.File, name: str) -> dict[str, Any]:
    """An attribute that is a JSON object; empty when there is none.

    Raises:
        FormatError: It is something else.
    """
    text = text_attribute(file, name)
    source = f"The attribute {name} of {file.filename} is damaged and"
    value = parse_json(text, source=source, error=FormatError) if text else {}
    if not isinstance(value, dict):
        raise damaged(file, name, f"got {clipped(text, 40)}, expected a JSON object")
    return value


def meta_attribute(file: h5py.File, name: str) -> ShowerMeta | None:
    """The metadata of showers; None when there are none.

    Raises:
        FormatError: They are not what ``ShowerMeta`` has.
    """
    values = object_attribute(file, name)
    if not values and not text_attribute(file, name):
        return None
    unknown = sorted(set(values) - {field.name for field in fields(ShowerMeta)})
    if unknown:
        raise damaged(file, name, f"it has the unknown key {shown(unknown[0], limit=40)}")
    try:
        return ShowerMeta(**values)
    except DataError as error:
        raise damaged(file, name, error) from error


def geometry_attribute(file: h5py.File, name: str) -> Geometry | None:
    """A geometry; None when there is none.

    Raises:
        FormatError: It is not one.
    """
    text = text_attribute(file, name)
    try:
        return geometry_from_json(text, source=file.filename) if text else None
    except GeometryError as error:
        raise FormatError(str(error)) from error


def check_fingerprint(file: h5py.File, meta: ShowerMeta, stored: Geometry | None) -> None:
    """Make sure that a file's cells are those of the geometry that it holds.

    Raises:
        FormatError: The fingerprints differ.
    """
    if stored is not None and meta.fingerprint not in {"", stored.fingerprint}:
        got = f"cells of {shown(meta.geometry, limit=40)} ({clipped(meta.fingerprint, 20)})"
        expected = f"those of its geometry {shown(stored.name, limit=40)} ({stored.fingerprint})"
        fix = "make or fetch the file again"
        raise FormatError(bad(f"{file.filename}", got=got, expected=expected, fix=fix))


def agreed_geometry(file: h5py.File, path: Path, given: Geometry | None) -> Geometry | None:
    """The geometry of a file of ours in someone else's layout, or the one that was given in its place.

    Args:
        file: Has the attributes ``caloforge_geometry`` and ``caloforge_meta``, if it is ours.
        path: Of the file.
        given: What the user gave.

    Raises:
        FormatError: The attributes are damaged.
        GeometryError: The given geometry does not fit the file's.
    """
    stored = geometry_attribute(file, "caloforge_geometry")
    meta = meta_attribute(file, "caloforge_meta")
    if meta is not None:
        check_fingerprint(file, meta, stored)
    if given is None or stored is None:
        return given or stored
    if meta and meta.fingerprint and given.fingerprint != stored.fingerprint:
        msg = f"{path} was written for the geometry {shown(stored.name)}, not for {shown(given.name)}."
        raise GeometryError(msg)
    check_stack(path, stored, given)
    return given


def damaged(file: h5py.File, name: str, reason: object) -> FormatError:
    """The error for an attribute that cannot be understood."""
    told = clipped(str(reason), 120).rstrip(".")
    return FormatError(f"The attribute {name} of {file.filename} is damaged: {told}.")
