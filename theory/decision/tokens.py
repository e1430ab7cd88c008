"""Sequences of tokens: a next-token softmax over unembedding times hidden vector, with hidden vectors that are shared.

After a prefix the logits are U h + b, with a hidden vector h and a base b of that prefix and the unembedding matrix U.
The score of a sequence with respect to U is the sum over its tokens of (e_token - pi) h^T, so that

    <g_y, g_z> = sum_{s, t} <h_s, h_t> <e_{y_s} - pi_s, e_{z_t} - pi_t>.

If the hidden vectors are trained as well (the "unconstrained features" of the literature), prefixes that both sequences
share add sum_s (e_{y_s} - pi_s)^T U U^T (e_{z_s} - pi_s). Chosen and rejected response share the hidden vectors of all
prefixes that they have in common, at least that of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from dynamics.errors import InvalidArgument, check_count
from theory.decision.scores import total
from theory.names import ShortNames
from theory.proof.family import Family
from theory.proof.settings import Numbers, setting
from theory.proof.symbols import NoSuchResponse

MOST_TOKENS, LARGEST_VOCABULARY = 4, 4
Tokens = tuple[int, ...]


class TokenWorld(ShortNames):
    """A chosen, a rejected and perhaps another sequence of tokens under one model.

    Args:
        sequences: the tokens of w, l and, if it is given, y.
        after: for each prefix the probabilities of all next tokens.
        hidden: for each prefix its hidden vector.
        unembedding: the rows of U, one for each token, if the hidden vectors are trained as well; else None.

    Example:
        >>> half = (Fraction(1, 2), Fraction(1, 2))
        >>> w = TokenWorld(((0,), (1,)), {(): half}, {(): (Fraction(2),)})
        >>> w.ww, w.wl, w.ches
        (Fraction(2, 1), Fraction(-2, 1), Fraction(0, 1))
    """

    __slots__ = ("_after", "_hidden", "_sequences", "_unembedding", "chosen", "rejected")

    def __init__(
        self,
        sequences: Sequence[Tokens],
        after: dict[Tokens, tuple[Any, ...]],
        hidden: dict[Tokens, tuple[Any, ...]],
        unembedding: Sequence[Sequence[Any]] | None = None,
    ) -> None:
        self._sequences, self._after, self._hidden, self._unembedding = tuple(sequences), after, hidden, unembedding
        self.chosen, self.rejected = 0, 1

    @property
    def y(self) -> int:
        """Return the other sequence; raise ``NoSuchResponse`` if none was given."""
        if len(self._sequences) < 3:
            raise NoSuchResponse("no sequence outside the pair was given")
        return 2

    @property
    def p(self) -> tuple[Any, ...]:
        """Return the probability of each sequence, the product of those of its tokens."""
        found = []
        for tokens in self._sequences:
            product: Any = self.token(tokens, 0)
            for t in range(1, len(tokens)):
                product = product * self.token(tokens, t)
            found.append(product)
        return tuple(found)

    def token(self, y: int | Tokens, t: int) -> Any:
        """Return the probability of token t of a sequence, from 0, after the tokens before it."""
        tokens = self._sequences[y] if isinstance(y, int) else y
        return self._after[tokens[:t]][tokens[t]]

    def hidden_product(self, y: int, s: int, z: int, t: int) -> Any:
        """Return the inner product of the hidden vectors from which token s of y and token t of z are predicted."""
        return _dot(self._hidden[self._sequences[y][:s]], self._hidden[self._sequences[z][:t]])

    def token_kernel(self, y: int, s: int, z: int, t: int) -> Any:
        """Return the part of <g_y, g_z> that comes from token s of y and token t of z."""
        first, second = self._sequences[y], self._sequences[z]
        a, b = self._residual(first, s), self._residual(second, t)
        part = self.hidden_product(y, s, z, t) * _dot(a, b)
        if self._unembedding is not None and first[:s] == second[:t]:
            part = part + _dot(*(self._pulled_back(vector) for vector in (a, b)))
        return part

    def kernel(self, y: int, z: int) -> Any:
        """Return <g_y, g_z>, the sum over pairs of tokens."""
        lengths = (len(self._sequences[y]), len(self._sequences[z]))
        return total([self.token_kernel(y, s, z, t) for s in range(lengths[0]) for t in range(lengths[1])])

    def squared_norm(self, y: int) -> Any:
        """Return |g_y|^2."""
        return self.kernel(y, y)

    def drive(self, y: int) -> Any:
        """Return A_y = <g_y, g_w> - <g_y, g_l>."""
        return self.kernel(y, self.chosen) - self.kernel(y, self.rejected)

    def log_change(self, y: int) -> Any:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: int) -> Any:
        """Return p_y A_y."""
        return self.p[y] * self.drive(y)

    @property
    def ches(self) -> Any:
        """Return the centered hidden embedding similarity <H_w, H_l> - |H_w|^2, H the sum of hidden vectors."""
        w, rejected = self._hidden_sum(self.chosen), self._hidden_sum(self.rejected)
        return _dot(w, rejected) - _dot(w, w)

    def _hidden_sum(self, y: int) -> list[Any]:
        tokens = self._sequences[y]
        vectors = [self._hidden[tokens[:t]] for t in range(len(tokens))]
        return [total(column) for column in zip(*vectors, strict=True)]

    def _residual(self, tokens: Tokens, t: int) -> list[Any]:
        return [int(v == tokens[t]) - q for v, q in enumerate(self._after[tokens[:t]])]

    def _pulled_back(self, vector: Sequence[Any]) -> list[Any]:
        assert self._unembedding is not None
        return [_dot(vector, column) for column in zip(*self._unembedding, strict=True)]

    @property
    def caption(self) -> str:
        """Return which parameters are trained."""
        trained = "unembedding" if self._unembedding is None else "unembedding and hidden vectors"
        return f"{len(self._sequences)} sequences of tokens, {trained} trained, learning rate x beta x urgency = 1"

    def __str__(self) -> str:
        """Return every sequence and every prefix, with probabilities, hidden vectors, drives and changes."""
        from theory.decision.typeset import aligned, plain  # noqa: PLC0415

        rows = [["", "tokens", "probability", "drive A", "change p A"]]
        p = self.p
        for y, tokens in enumerate(self._sequences):
            name = ("w (chosen)", "l (rejected)", "y")[y]
            rows.append([name, plain(tokens), str(p[y]), str(self.drive(y)), str(self.change(y))])
        inner = [["after", "probability of each token", "hidden vector"]]
        inner += [[plain(prefix), plain(self._after[prefix]), plain(self._hidden[prefix])] for prefix in self._after]
        lines = [self.caption, *aligned(rows, (14, 10, 12, 10, 12)), *aligned(inner, (14, 26, 16))]
        if self._unembedding is not None:
            lines.append("unembedding " + ", ".join(plain(tuple(row)) for row in self._unembedding))
        lines.append(f"|g_w|^2 = {self.ww}, |g_l|^2 = {self.ll}, g_w . g_l = {self.wl}, CHES = {self.ches}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from theory.decision.typeset import table_html  # noqa: PLC0415

        head = ["", "tokens", "probability", "drive <i>A</i>", "change <i>p A</i>"]
        below = table_html("", ["", "probability of each token", "hidden vector"], self._prefixes())
        return table_html(self.caption, head, self._rows()) + below

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import table_latex  # noqa: PLC0415

        above = table_latex(self.caption, [r"\text{tokens}", r"\pi_y", "A_y", r"\pi_y A_y"], self._rows())
        below = table_latex("", [r"\text{next token}", r"\text{hidden vector}"], self._prefixes())
        return f"{above}\n\n{below}"

    def _rows(self) -> list[tuple[str, list[Any]]]:
        named = zip(("w (chosen)", "l (rejected)", "y"), self._sequences, self.p, strict=False)
        return [(name, [tokens, q, self.drive(y), self.change(y)]) for y, (name, tokens, q) in enumerate(named)]

    def _prefixes(self) -> list[tuple[str, list[Any]]]:
        return [(f"after {prefix}", [self._after[prefix], self._hidden[prefix]]) for prefix in self._after]


def token_pair(
    chosen: Tokens,
    rejected: Tokens,
    *,
    other: Tokens | None = None,
    vocabulary: int = 3,
    train_hidden: bool = False,
) -> Family:
    """Return every model of two given sequences of tokens: any hidden vectors, any probabilities.

    In the short names ``w.p_w`` is the probability of the whole chosen sequence; ``w.token(w.chosen, 0)`` that of its
    first token, ``w.hidden_product(w.chosen, 0, w.rejected, 1)`` an inner product of hidden vectors, ``w.ches`` the
    centered hidden embedding similarity.

    Args:
        chosen: tokens of y_w, whole numbers from 0.
        rejected: tokens of y_l, another sequence.
        other: tokens of y, if the conjecture speaks of another sequence.
        vocabulary: number of tokens.
        train_hidden: whether the hidden vectors are trained as well as the unembedding.

    Raises:
        InvalidArgument: tokens outside the vocabulary, sequences that are equal, or too long.

    Example:
        >>> from theory import decide
        >>> decide(lambda w: w.A_w > 0 or w.ww == 0, token_pair((0,), (1,))).verdict
        'proved'
        >>> decide(lambda w: w.A_w >= 0, token_pair((0, 1), (0, 2))).verdict  # a shared first token
        'refuted'
    """
    size = check_count("vocabulary", vocabulary, minimum=2)
    if size > LARGEST_VOCABULARY:
        raise InvalidArgument("vocabulary", vocabulary, f"a whole number from 2 to {LARGEST_VOCABULARY}")
    given = {"chosen": chosen, "rejected": rejected} | ({} if other is None else {"other": other})
    for name, tokens in given.items():
        good = isinstance(tokens, tuple) and all(type(t) is int and 0 <= t < size for t in tokens)
        if not good or not 0 < len(tokens) <= MOST_TOKENS:
            raise InvalidArgument(name, tokens, f"1 to {MOST_TOKENS} tokens from 0 to {size - 1}, as a tuple")
    sequences = tuple(given.values())
    if len(set(sequences)) < len(sequences):
        raise InvalidArgument("rejected", rejected, "a sequence that differs from the others")
    prefixes = sorted({tokens[:t] for tokens in sequences for t in range(len(tokens))}, key=lambda x: (len(x), x))

    def model(numbers: Numbers) -> TokenWorld:
        after, hidden = {}, {}
        for i, prefix in enumerate(prefixes):
            left, found = Fraction(1), []
            for v in range(size - 1):
                q = numbers.between(f"p_{i}{v}", 0, left)
                left = left - q
                found.append(q)
            after[prefix] = (*found, left)
            hidden[prefix] = tuple(numbers.real(f"h_{i}{j}") if j <= i else Fraction(0) for j in range(len(prefixes)))
        rows = None
        if train_hidden:
            rows = [[numbers.real(f"u_{v}{j}") if j <= v else Fraction(0) for j in range(size)] for v in range(size)]
        return TokenWorld(sequences, after, hidden, rows)

    trained = "unembedding and hidden vectors" if train_hidden else "unembedding"
    shown = " against ".join(map(str, sequences[:2])) + ("" if other is None else f", and {other}")
    model.__doc__ = f"every model with {size} tokens, {trained} trained, {shown}"
    return setting("any hidden vectors; all tokens have probability > 0 after each prefix")(model)


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    return total([x * y for x, y in zip(a, b, strict=True)])
