"""A small language to choose runs: Python's comparisons over names of fields, and nothing else.

    preset == 'paper' and seed < 3 and config.lr <= 1e-3 and tag.sweep == 'a'

It is parsed by Python's `ast` and walked here; no part of it is ever executed as Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvit.errors import UnknownName, UsageProblem

PARTS = ("config", "slot", "tag", "result")  # what has fields of its own: config.lr, tag['a b']
LONGEST = 2_000  # characters
EXPECTED = (
    "expected comparisons of fields with values, such as preset == 'paper' and seed < 3 and"
    " config.lr <= 1e-3"
)
ORDERED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
OTHER = "neither number nor text"
BARE = object()  # a tag without a value, in a comparison
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    A field that a run does not have is None: `==` another value is false, `<` and `in` are false.
    A tag without a value is True, and unlike every text.
    """

    text: str
    tree: ast.expr

    def names(self) -> list[str]:
        """Return the fields that it reads, such as `config.lr`."""
        return list(dict.fromkeys(_names(self.tree)))

    def check(self, known: Collection[str]) -> None:
        """Raise UnknownName for a field that no run can have; the nearest one is suggested."""
        for name in self.names():
            if name not in known:
                raise UnknownName("field", name, known)

    def matches(self, fields: Fields) -> bool:
        """Tell whether it is true of a run.

        Raises:
            UsageProblem: it compares what does not compare, such as a number with a text, or has
                a number or a text where a comparison belongs.
        """
        return _true(self.tree, fields)


def parse(text: str) -> Expression:
    """Parse an expression.

    Raises:
        UsageProblem: it is not one, or uses more of Python than comparisons, `and`, `or`, `not`,
            `in`, names and literals.
    """
    if len(text) > LONGEST:
        raise UsageProblem(f"the query has {len(text):,} characters, at most {LONGEST:,} are read.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _check(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        reason = problem.msg if isinstance(problem, SyntaxError) else str(problem)
        raise UsageProblem(f"query {text!r} cannot be read ({reason}): {EXPECTED}.") from None
    return Expression(text, tree)


def field_name(node: ast.AST) -> str | None:
    """Return the field that a node names: `seed`, `config.lr`, `result['eval/return']`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=part), attr=name) if part in PARTS:
            return f"{part}.{name}"
        case ast.Subscript(value=ast.Name(id=part), slice=ast.Constant(value=str(name))) if (
            part in PARTS
        ):
            return f"{part}.{name}"
    return None


def _check(node: ast.AST) -> None:
    """Raise UsageProblem for what is not allowed where something is true or false."""
    if field_name(node) is not None:
        return
    if _is_literal(node) or isinstance(node, ast.Tuple | ast.List):
        raise UsageProblem(f"a query cannot be {ast.unparse(node)!r} alone: {EXPECTED}.")
    match node:
        case ast.BoolOp(values=parts):
            pass
        case ast.UnaryOp(op=ast.Not(), operand=part):
            parts = [part]
        case ast.Compare(left=left, ops=ops, comparators=rest):
            if not all(type(op) in (ast.Eq, ast.NotEq, ast.In, ast.NotIn, *ORDERED) for op in ops):
                _refuse(node)
            _check_sides([left, *rest])
            parts = []
        case _:
            _refuse(node)
    for part in parts:
        _check(part)


def _check_sides(sides: Sequence[ast.AST]) -> None:
    """Raise UsageProblem for what is not allowed as a side of a comparison."""
    for side in sides:
        if isinstance(side, ast.Tuple | ast.List):
            _check_sides(side.elts)
        elif not _is_literal(side):
            _check(side)


def _refuse(node: ast.AST) -> None:
    raise UsageProblem(f"a query cannot use {ast.unparse(node)!r}: {EXPECTED}.")


def _is_literal(node: ast.AST) -> bool:
    """Tell whether a node is a text, a number with or without its sign, True, False or None."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return True
        case ast.Constant(value=str() | int() | float() | None):
            return True
    return False


def _names(node: ast.AST) -> Iterator[str]:
    name = field_name(node)
    if name is not None:
        yield name
        return
    for part in ast.iter_child_nodes(node):
        yield from _names(part)


def _true(node: ast.AST, fields: Fields) -> bool:
    """Tell whether a part is true; raises UsageProblem where it is a number or a text."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_true(part, fields) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_true(part, fields) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _true(part, fields)
        case ast.Compare():
            return _compared(node, fields)
    value = _value(node, fields)
    if _is_tag(node):
        return value is not None
    if value is not None and not isinstance(value, bool):
        raise UsageProblem(
            f"query: {ast.unparse(node)!r} is {_kind(value)}; expected a comparison, such as "
            f"{ast.unparse(node)} == {value!r}."
        )
    return bool(value)


def _is_tag(node: ast.AST) -> bool:
    return (field_name(node) or "").startswith("tag.")


def _value(node: ast.AST, fields: Fields) -> Any:
    name = field_name(node)
    if name is not None:
        return fields.get(name)
    match node:
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [_value(part, fields) for part in parts]
        case ast.Constant(value=value):
            return value
    return _true(node, fields)  # `parse` let nothing else through


def _compared(node: ast.Compare, fields: Fields) -> bool:
    nodes = (node.left, *node.comparators)
    sides = [
        _bare(_value(side, fields)) if _is_tag(side) else _value(side, fields) for side in nodes
    ]
    text = ast.unparse(node)
    pairs = zip(node.ops, sides[:-1], sides[1:], strict=True)
    return all(_holds(op, left, right, text) for op, left, right in pairs)


def _bare(value: Any) -> Any:
    """Return a tag's text, or what stands for a tag without one."""
    return BARE if value is True else value


def _holds(op: ast.cmpop, left: Any, right: Any, text: str) -> bool:
    """Tell whether one comparison is true; raises UsageProblem where it has no meaning."""
    if isinstance(op, ast.In | ast.NotIn):
        if isinstance(right, list):
            found = any(_same(left, one, text) for one in right)
        elif isinstance(right, str) and isinstance(left, str):
            found = left in right
        elif any(one is None or one is BARE for one in (left, right)):
            found = False
        else:
            raise UsageProblem(f"query {text!r}: {right!r} holds nothing that `in` could find.")
        return found == isinstance(op, ast.In)
    if isinstance(op, ast.Eq | ast.NotEq):
        return _same(left, right, text) == isinstance(op, ast.Eq)
    if left is None or right is None or left is BARE or right is BARE:
        return False
    _comparable(left, right, text)
    return ORDERED[type(op)](left, right)


def _same(left: Any, right: Any, text: str) -> bool:
    if left is None or right is None:
        return left is right
    if left is BARE or right is BARE:
        return all(one is True or one is BARE for one in (left, right))
    _comparable(left, right, text)
    return bool(left == right)


def _comparable(left: Any, right: Any, text: str) -> None:
    """Raise UsageProblem unless both are numbers, both are texts or both are truth values."""
    first, second = _kind(left), _kind(right)
    if first != second or first == OTHER:
        raise UsageProblem(
            f"query {text!r}: {left!r} is {first} and {right!r} {second}; they do not compare."
        )


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "True or False"
        case int() | float():
            return "a number"
        case str():
            return "a text"
    return OTHER
