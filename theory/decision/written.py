"""A conjecture written in one line, such as ``drive(w) >= 0``: parsed from a short list of what may occur, never run.

The names are those of a world: ``p_w``, ``ww``, ``A_w``, ``D_y``, ``dd`` and so on; ``w``, ``l`` and ``y`` are the
responses in ``drive(w)``, ``change(y)``, ``kernel(w, l)``, ``p(y)``. Worlds of other losses have more
(``d_w``, ``V``). Beside them there are whole numbers and decimals (which are fractions), arithmetic, comparisons,
``and``, ``or``, ``not``, ``if`` with ``else``, and the functions ``abs``, ``min``, ``max``,
``sqrt``, ``exp``, ``log``; ``after(2).p_w`` is a name in the world after an exact step.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from dynamics.errors import InvalidArgument, check_kind
from theory.decision.view import nearest
from theory.names import ShortNames
from theory.proof.functions import exp, log, sqrt

NAMES = tuple(sorted((*(name for name in vars(ShortNames) if name[0] != "_" and len(name) in (2, 3)), "S2", "S3")))
OF_OTHER_WORLDS = (
    *("d_w", "d_l", "ref_w", "ref_l", "r_w", "r_l", "u", "beta", "E", "n_w", "n_l", "extra"),
    *("V", "T", "S_w", "S_l", "S_y", "K", "eta", "eta_in"),
)
"""Names that worlds of a loss, of second order or of two blocks have beside those of every world."""

RESPONSES = {"w": "chosen", "l": "rejected", "y": "y"}
OF_ONE = ("drive", "change", "log_change", "squared_norm", "second_change", "outer", "inner")
FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "sqrt": sqrt, "exp": exp, "log": log}
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
LONGEST = 2000  # characters
DEEPEST = 60  # operations within one another
LARGEST_POWER = 20
ALLOWED = (
    f"names such as {', '.join(NAMES[:6])}, ...; drive(w), change(y), kernel(w, l), p(y); numbers, + - * / **, "
    f"comparisons, and, or, not, if ... else ...; {', '.join(FUNCTIONS)}; after(2).p_w"
)

EVERY = f"Names are {', '.join(NAMES)}; theory/decision/README.md explains them"

Meaning = Callable[[Any], Any]


class Written:
    """A predicate of a world from its text.

    Args:
        text: the conjecture.
        argument: name of the argument, for errors.

    Raises:
        InvalidArgument: the text contains something that is not allowed.

    Example:
        >>> from theory.worlds import World
        >>> ladder = World.log_linear([[0], [1], [2]], at=[3])
        >>> Written("drive(w) >= 0")(ladder), Written("not D_w < 0 or change(l) < 0.5")(ladder)
        (True, True)
        >>> Written("__import__('os')")
        Traceback (most recent call last):
        dynamics.errors.InvalidArgument: conjecture: "__import__('os')" is not on the list of what may occur: ...
    """

    def __init__(self, text: str, argument: str = "conjecture") -> None:
        check_kind(argument, text, str, "a text such as 'drive(w) >= 0'")
        self.text = " ".join(text.split())
        self.__doc__ = self.text
        self._argument = argument
        if len(text) > LONGEST:
            raise InvalidArgument(argument, f"a text of {len(text)} characters; write at most {LONGEST}")
        try:
            tree = ast.parse(self.text, mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
            where = getattr(problem, "offset", None)
            raise InvalidArgument(
                argument,
                f"{self.text!r} cannot be read{f' at character {where}' if where else ''}; "
                "write it like 'drive(w) >= 0'",
            ) from None
        self._meaning = self._read(tree.body, 0)

    def __call__(self, world: Any) -> Any:
        """Return whether it is true in a world."""
        return self._meaning(world)

    def _refused(self, node: ast.AST, why: str = "is not on the list of what may occur: " + ALLOWED) -> InvalidArgument:
        part = ast.get_source_segment(self.text, node) or self.text
        return InvalidArgument(self._argument, f'"{part:.60}" {why}')

    def _read(self, node: Any, depth: int) -> Meaning:
        if depth > DEEPEST:
            raise self._refused(node, f"is nested more than {DEEPEST} deep")
        for kind, read in (
            (ast.BoolOp, self._joined),
            (ast.UnaryOp, self._signed),
            (ast.IfExp, self._chosen),
            (ast.BinOp, self._computed),
            (ast.Compare, self._compared),
            (ast.Call, self._called),
            (ast.Attribute, self._stepped),
            (ast.Name, self._named),
            (ast.Constant, self._constant),
        ):
            if isinstance(node, kind):
                return read(node, depth + 1)
        raise self._refused(node)

    def _joined(self, node: Any, depth: int) -> Meaning:
        parts = [self._read(part, depth) for part in node.values]
        stops_at = isinstance(node.op, ast.Or)

        def joined(world: Any) -> Any:
            value: Any = None
            for part in parts:
                value = part(world)
                if bool(value) == stops_at:
                    break
            return value

        return joined

    def _chosen(self, node: Any, depth: int) -> Meaning:
        then, condition, other = (self._read(part, depth) for part in (node.body, node.test, node.orelse))
        return lambda world: then(world) if condition(world) else other(world)

    def _signed(self, node: Any, depth: int) -> Meaning:
        part = self._read(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return lambda world: not part(world)
        if isinstance(node.op, ast.USub):
            return lambda world: -part(world)
        if isinstance(node.op, ast.UAdd):
            return part
        raise self._refused(node)

    def _computed(self, node: Any, depth: int) -> Meaning:
        left = self._read(node.left, depth)
        if isinstance(node.op, ast.Pow):
            power = self._power(node.right)
            return lambda world: left(world) ** power
        operation = ARITHMETIC.get(type(node.op))
        if operation is None:
            raise self._refused(node, "is not supported; use + - * / and **, and write and, or, != in place of & | ^")
        right = self._read(node.right, depth)
        return lambda world: operation(left(world), right(world))

    def _power(self, node: Any) -> int:
        sign, inner = (
            (-1, node.operand) if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else (1, node)
        )
        value = inner.value if isinstance(inner, ast.Constant) else None
        if type(value) is not int or value > LARGEST_POWER:
            raise self._refused(node, f"is not a whole number up to {LARGEST_POWER}; for a root use sqrt")
        return sign * value

    def _compared(self, node: Any, depth: int) -> Meaning:
        parts = [self._read(part, depth) for part in (node.left, *node.comparators)]
        relations = [COMPARISONS[type(relation)] for relation in node.ops if type(relation) in COMPARISONS]
        if len(relations) < len(node.ops):
            raise self._refused(node, "is not supported; compare with < <= > >= == !=")

        def compared(world: Any) -> Any:
            value: Any = True
            left = parts[0](world)
            for relation, part in zip(relations, parts[1:], strict=True):
                right = part(world)
                value = relation(left, right)
                if part is not parts[-1] and not value:
                    break
                left = right
            return value

        return compared

    def _called(self, node: Any, depth: int) -> Meaning:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self._refused(node)
        if name in OF_ONE or name in ("p", "kernel"):
            wanted = 2 if name == "kernel" else 1
            letters = [a.id if isinstance(a, ast.Name) else "" for a in node.args]
            if len(letters) != wanted or not set(letters) <= set(RESPONSES):
                raise self._refused(node, f"needs {'two responses' if wanted == 2 else 'one response'}: w, l or y")
            places = [RESPONSES[letter] for letter in letters]
            if name == "p":
                return lambda world: world.p[getattr(world, places[0])]
            return lambda world: getattr(world, name)(*(getattr(world, place) for place in places))
        if name not in FUNCTIONS:
            raise self._refused(node)
        if (len(node.args) != 1) if name not in ("min", "max") else (len(node.args) < 2):
            raise self._refused(
                node,
                f"has {len(node.args)} arguments; " + ("give two or more" if name in ("min", "max") else "give one"),
            )
        parts = [self._read(part, depth) for part in node.args]
        return lambda world: FUNCTIONS[name](*(part(world) for part in parts))

    def _stepped(self, node: Any, depth: int) -> Meaning:
        call = node.value
        is_step = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "after"
        if not is_step or len(call.args) != 1 or node.attr not in NAMES:
            raise self._refused(node)
        factor = self._read(call.args[0], depth)
        return lambda world: getattr(world.after(factor(world)), node.attr)

    def _named(self, node: Any, depth: int) -> Meaning:  # noqa: ARG002
        name = node.id
        if name in RESPONSES:
            raise self._refused(node, "is a response: write drive(w), p(w), kernel(w, l)")
        if name not in NAMES and name not in OF_OTHER_WORLDS:
            near = nearest(name, (*NAMES, *OF_OTHER_WORLDS, *OF_ONE, "kernel", *FUNCTIONS))
            raise self._refused(node, f"is no name; did you mean {near}? {EVERY}" if near else f"is no name; {EVERY}")
        return lambda world: getattr(world, name)

    def _constant(self, node: Any, depth: int) -> Meaning:  # noqa: ARG002
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise self._refused(node)
        text = ast.get_source_segment(self.text, node) or ""
        try:
            number = Fraction(text)
        except ValueError:
            raise self._refused(node, "is not a whole number or a decimal") from None
        return lambda _: number  # so that 1/2 is a fraction; with Python's whole numbers it would be a float
