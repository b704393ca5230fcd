"""What geometries and configurations have in common: fields that are checked, and problems in words."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from caloforge.errors import bad, clipped, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.errors import CaloForgeError

__all__ = [
    "Count",
    "Key",
    "Problem",
    "Record",
    "Width",
    "Widths",
    "first_problem",
    "inconsistent",
    "record_keys",
    "validated",
]

_Model = TypeVar("_Model", bound=BaseModel)

# far beyond what anyone trains, and small enough that nothing hangs or fills the memory
Count = Annotated[int, Field(ge=1, le=1024)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Widths = Annotated[tuple[Width, ...], Field(max_length=64)]

_WORDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of reasonable size",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_unicode": "a text of valid Unicode",
    "string_too_long": "at most {max_length} characters",
    "greater_than": "more than {gt:.10g}",
    "greater_than_equal": "at least {ge:.10g}",
    "less_than": "less than {lt:.10g}",
    "less_than_equal": "at most {le:.10g}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a section with keys",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "too_short": "{min_length} entries or more",
    "too_long": "{max_length} entries at most",
    "union_tag_invalid": "one of {expected_tags} as {discriminator}",
    "union_tag_not_found": "a section with the key {discriminator}",
    "invalid_key": "a text as the key",
    "missing": "a value",
}


class Record(BaseModel):
    """Base of all that is read from YAML or JSON; unknown keys are errors, numbers are finite.

    The text under a field says what it means, also to ``record_keys``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, content: Any) -> Any:
        """Python takes true for 1: nobody means that."""
        for name, value in content.items() if isinstance(content, dict) else ():
            field = cls.model_fields.get(name)
            if field is not None and field.annotation not in (bool, Any) and _has_truth(value):
                raise inconsistent(got=f"{name}: {shown(value)}", expected="neither true nor false there")
        return content


class Key(NamedTuple):
    """One key of a record.

    Attributes:
        name: With dots between the sections.
        default: Its value when nothing is said; None when there is none.
        meaning: The text under the field.
    """

    name: str
    default: Any
    meaning: str


def record_keys(kind: type[BaseModel], section: str = "") -> Iterator[Key]:
    """All keys of a record, those of nested ones in their place.

    Args:
        kind: The record's class.
        section: Put before all names.
    """
    for name, field in kind.model_fields.items():
        path = f"{section}.{name}" if section else name
        inner = [kind for kind in _alternatives(field.annotation) if _is_record(kind)]
        if inner:  # of several kinds the keys of all, those that they share once
            keys = {key.name: key for kind in reversed(inner) for key in record_keys(kind, path)}
            yield from keys.values()
        else:
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            meaning = (field.description or "").replace("``", "")
            yield Key(path, default, " ".join(meaning.split()))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a record.

    Attributes:
        place: Keys from the outside to the value.
        kind: ``unknown`` key, ``missing`` key or ``wrong`` value.
        got: The value, short.
        expected: What would be right.
    """

    place: tuple[int | str, ...]
    kind: str
    got: str
    expected: str

    @property
    def where(self) -> str:
        """The place as dotted keys."""
        return clipped(".".join(map(str, self.place)), 80)


def first_problem(error: ValidationError) -> Problem:
    """The first problem that the check of a record found, in our words.

    A validator of a field raises ``ValueError`` with what it expects, one of a whole record
    ``inconsistent``.
    """
    first = error.errors(include_url=False)[0]
    context = first.get("ctx", {})
    kinds = {"extra_forbidden": "unknown", "missing": "missing"}
    got, expected = shown(first["input"]), _expected(first["type"], context, first["msg"])
    if first["type"] == "inconsistent":
        got = context["got"]
    return Problem(tuple(first["loc"]), kinds.get(first["type"], "wrong"), got, expected)


def validated(kind: type[_Model], content: Any, *, source: str, error: type[CaloForgeError]) -> _Model:
    """A record of what a program wrote into a file.

    Args:
        kind: What it should be.
        content: As read from JSON.
        source: The file, for errors.
        error: The class to raise.

    Raises:
        CaloForgeError: It is none.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as failure:
        problem = first_problem(failure)
        what = f"{problem.where} in {source}" if problem.place else source
        got = "nothing" if problem.kind == "missing" else problem.got
        raise error(bad(what, got=got, expected=problem.expected)) from failure


def inconsistent(*, got: str, expected: str) -> PydanticCustomError:
    """The error of a validator that sees more than one value."""
    return PydanticCustomError("inconsistent", "{expected}", {"got": got, "expected": expected})


def _has_truth(value: object) -> bool:
    return any(isinstance(item, bool) for item in (value if isinstance(value, list | tuple) else (value,)))


def _expected(kind: str, context: dict[str, Any], message: str) -> str:
    if kind == "value_error":
        return clipped(str(context["error"]), 160)
    if kind == "inconsistent":
        return str(context["expected"])
    return clipped(_WORDS.get(kind, message.removeprefix("Input should be ")).format(**context), 160)
