"""Plain ROOT trees and RNTuples: an entry for every shower, its hits in branches of variable length.

Layout of ours: the tree ``showers`` with ``incident_energy`` [MeV], ``theta``, ``phi`` [rad], ``pdg``,
``nhit`` and ``hit_x``, ``hit_y``, ``hit_z`` [mm], or ``hit_cell``, and ``hit_energy`` [MeV]; the
TObjString ``caloforge`` holds the geometry as JSON. Trees of others have what names they like: see
``caloforge.formats.branches``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import ConfigError, FormatError, bad, clipped, did_you_mean, shown
from caloforge.formats.base import Format
from caloforge.formats.branches import find_sources, named
from caloforge.formats.containers import few, open_root
from caloforge.formats.row_writer import RowWriter
from caloforge.formats.rows import NOTE, Lists, RowReader, is_table
from caloforge.markup import parse_json
from caloforge.optional import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from caloforge.formats.branches import Named
    from caloforge.showers import Showers

__all__ = [
    "ROOT",
    "TREES",
    "RootReader",
    "RootWriter",
    "branch_values",
    "depth_of",
    "trees",
    "what_root_holds",
]

TREES = ["TTree", "ROOT::RNTuple"]
"""Classes of what holds showers."""
_TREE = "showers"
_WHAT = "ROOT files"


class RootReader(RowReader):
    """Reads trees of showers."""

    def _open(self) -> None:
        self._file = open_root(self.path)

    def _kinds(self) -> Mapping[str, bool]:
        found = _find_tree(self._file, named())
        if found is None:
            msg = f"{self.path} has no tree whose branches are showers: it has {what_root_holds(self._file)}."
            raise FormatError(msg)
        self._tree = found
        return _kinds(found)

    def _rows(self) -> int:
        return int(self._tree.num_entries)

    def _columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any] | Lists]:
        return {name: branch_values(self._tree[name], start, stop) for name in names}

    def _texts(self) -> Mapping[str, str]:
        return _note(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RootWriter(RowWriter):
    """Writes trees of showers."""

    format_name = "root"

    def _import(self) -> None:
        self._uproot = needed("uproot", extra="root", what=_WHAT)
        self._awkward = needed("awkward", extra="root", what=_WHAT)

    def _create(self, showers: Showers, note: dict[str, str]) -> Callable[[], None]:
        self._file = self._uproot.recreate(self._part, compression=self._uproot.ZLIB(4))
        places = "cell: int32" if showers.points is None else "x: float32, y: float32, z: float32"
        branches = {
            **dict.fromkeys(("incident_energy", "theta", "phi"), "float64"),
            "pdg": "int32",
            "hit": f"var * {{{places}, energy: float32}}",
        }
        self._tree = self._file.mktree(_TREE, branches, title="showers: MeV, mm, rad")
        self._file[NOTE] = json.dumps(note)
        return self._file.close  # type: ignore[no-any-return]

    def _write(self, showers: Showers) -> None:
        if not len(showers):
            return
        particle = {n: getattr(showers.incident, n) for n in ("theta", "phi", "pdg")}
        hits = self._lists(showers)
        self._tree.extend({"incident_energy": showers.incident.energy, **particle, "hit": hits})

    def _lists(self, showers: Showers) -> Any:
        contents = self._awkward.contents
        columns = {} if showers.points is None else dict(zip("xyz", showers.points.T, strict=True))
        columns |= {} if showers.cells is None else {"cell": showers.cells}
        columns["energy"] = showers.energy
        flat = [contents.NumpyArray(np.ascontiguousarray(values)) for values in columns.values()]
        offsets = self._awkward.index.Index64(showers.offsets)
        record = contents.RecordArray(flat, list(columns), length=len(showers.energy))
        return self._awkward.Array(contents.ListOffsetArray(offsets, record))

    def _finish(self) -> None:
        self._file.close()

    def _rows_on_disk(self) -> int:
        with open_root(self._part) as file:
            return int(file[_TREE].num_entries)


def trees(file: Any) -> Iterator[tuple[str, Any]]:
    """All trees and RNTuples of a file by their names; the newest cycle of each."""
    for name in file.keys(recursive=True, cycle=False, filter_classname=TREES):
        yield name, file[name]


def branch_values(branch: Any, start: int, stop: int) -> NDArray[Any] | Lists:
    """Some entries of a branch: numbers, or lists of them."""
    awkward = needed("awkward", extra="root", what=_WHAT)
    array = branch.array(entry_start=start, entry_stop=stop, library="ak")
    if array.ndim == 1:
        return np.asarray(awkward.to_numpy(array))
    counts = np.asarray(awkward.to_numpy(awkward.num(array, axis=1)))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Lists(offsets, np.asarray(awkward.to_numpy(awkward.flatten(array, axis=1))))


def what_root_holds(file: Any) -> str:
    """The trees of a file and a few of their branches, for a message."""
    told = [f"the tree {clipped(n, 30)} with {clipped(_few_branches(t), 120)}" for n, t in trees(file)]
    others = [f"{clipped(n, 30)} ({c})" for n, c in file.classnames(cycle=False).items() if c not in TREES]
    hint = (
        "; where they are showers, name the branches (--branches)"
        if told
        else "; TTrees and RNTuples are read"
    )
    return few([*told, *others], most=3) + hint


def _few_branches(tree: Any) -> str:
    names = [name for name in list(tree.keys()) if "/" not in name]
    return few((name for name in names if name[1:] not in names), most=8)  # without counters such as nhit_x


def _kinds(tree: Any) -> dict[str, bool]:
    """Whether a branch has a list in every entry, or a number; objects are left out."""
    found = {}
    for name, branch in tree.items(recursive=True):
        depth = depth_of(branch)
        if depth is not None:
            found[name] = depth == 1
    return found


def depth_of(branch: Any) -> int | None:
    """0 for numbers, 1 for lists of numbers, None for anything else."""
    awkward = needed("awkward", extra="root", what=_WHAT)
    if hasattr(branch, "interpretation"):
        return _depth_in_tree(branch.interpretation)
    none = branch.array(entry_stop=0)  # a field of an RNTuple tells by what it gives
    form = awkward.type(none)
    text = str(form.content if none.ndim == 1 else form.content.content)
    return none.ndim - 1 if none.ndim < 3 and text.lstrip("u").startswith(("int", "float")) else None


def _depth_in_tree(interpretation: Any) -> int | None:
    uproot = needed("uproot", extra="root", what=_WHAT)
    inner = interpretation.content if isinstance(interpretation, uproot.AsJagged) else interpretation
    if not isinstance(inner, uproot.AsDtype) or inner.to_dtype.base.kind not in "iuf":
        return None
    depth = len(inner.to_dtype.shape) + (inner is not interpretation)
    return depth if depth < 2 else None


def _find_tree(file: Any, names: Named) -> Any:
    """The tree that the user names, or else the first one that looks like showers, or None."""
    known = dict(trees(file))
    wanted = names.options.get("tree")
    if wanted is None:
        found = next((tree for tree in known.values() if is_table(_kinds(tree), names)), None)
        if found is None and names.sources and known:
            find_sources(_kinds(next(iter(known.values()))), names)  # says which name is wrong
        return found
    if wanted not in known:
        msg = f"--branches: there is no tree {shown(wanted)}: {did_you_mean(wanted, known)}."
        raise ConfigError(msg)
    return known[wanted]


def _note(file: Any) -> dict[str, str]:
    if file.classnames(recursive=False, cycle=False).get(NOTE) != "TObjString":
        return {}
    note = parse_json(str(file[NOTE]), source=f"{NOTE} of the file", error=FormatError)
    if not isinstance(note, dict) or not all(isinstance(text, str) for text in note.values()):
        raise FormatError(bad(f"{NOTE} of the file", got=clipped(str(note), 40), expected="texts by name"))
    return note


def _detect(file: Any) -> bool:
    return NOTE in file.keys(recursive=False, cycle=False) or _find_tree(file, named()) is not None


ROOT = Format(
    name=RootWriter.format_name,
    description="ROOT trees with an entry for every shower",
    detect=_detect,
    reader=RootReader,
    writer=RootWriter,
    container="ROOT",
)
