"""A Program as one function in LLVM's language.

The outer loop takes `lanes` canopies at a time. Numbers of a canopy are computed in line; for all
that has rows there is an inner loop, in which what the loop needs is computed for row i. Sums
over the rows end a loop, so values have a level: the number of such ends before them. All sums
and outputs of the same number of rows and of the same level share a loop.

    void kernel(tables, input 0, …, output 0, …, i64 stride, i64 start, i64 stop)

Inputs and outputs are [row, stride]; start and stop are multiples of `lanes`. Outputs of many
rows begin at multiples of 64 bytes and are written past the cache; a fence makes them visible.
"""

import math
from collections.abc import Iterator

from rtm.fused.functions import FUNCTIONS, definitions
from rtm.fused.program import Node, Program, Untraceable
from rtm.fused.writer import Writer, number

_TWO = {"add": "fadd", "sub": "fsub", "mul": "fmul"}
_COMPARED = {"gt": "ogt", "lt": "olt", "ge": "oge", "le": "ole", "eq": "oeq"}
_Ends = list[tuple[str, int, int]]  # what becomes of a node at the end of a row, for which
_Groups = dict[tuple[int, int], _Ends]  # by level and number of rows
_CACHED = 512  # rows; a longer output is written past the cache, which it would only fill
_INTRINSIC = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor"}


def emit(program: Program, *, lanes: int, attributes: str) -> str:
    """The text of a module with the function `kernel`.

    Parameters
    ----------
    program : Program
    lanes : int
        Canopies at a time.
    attributes : str
        Of the function, in LLVM's language.

    Raises
    ------
    Untraceable
    """
    return _Emission(program, lanes).module(attributes)


class _Emission:
    def __init__(self, program: Program, lanes: int) -> None:
        self.program, self.nodes = program, program.nodes
        self.levels = _levels(program.nodes)
        self.w = Writer(lanes)
        self.flat: dict[int, str] = {}  # nodes without rows, and sums
        self.kept: dict[int, str] = {}  # where the rows of a node are kept
        self.block = "outer"
        self.bytes = 4 * lanes
        inputs = [n.setting[0] for n in self.nodes if n.op in ("row", "array")]
        self.inputs = max(inputs, default=-1) + 1
        self.places, self.length = _places(program)

    def module(self, attributes: str) -> str:
        """The whole text."""
        names = [f"%in{k}" for k in range(self.inputs)]
        names += [f"%out{k}" for k in range(len(self.program.outputs))]
        listed = "".join(f"ptr noalias {name}, " for name in names)
        self._body()
        return "\n".join([
            definitions(self.w.lanes),
            f"define void @kernel(ptr noalias %tables, {listed}"
            "i64 %stride, i64 %start, i64 %stop) #0 {",
            "entry:",
            *self._memory(),
            "  br label %outer",
            "outer:",
            "  %b = phi i64 [ %start, %entry ], [ %b.next, %latch ]",
            *self.w.lines,
            "  br label %latch",
            "latch:",
            f"  %b.next = add i64 %b, {self.w.lanes}",
            "  %more = icmp slt i64 %b.next, %stop",
            "  br i1 %more, label %outer, label %done",
            "done:",
            "  fence seq_cst",
            "  ret void",
            "}",
            f"attributes #0 = {{ nounwind {attributes} }}",
            "!0 = !{i32 1}",
        ])  # fmt: skip

    def _memory(self) -> Iterator[str]:
        """Room for the nodes whose rows are kept, each with a row of zeros behind it."""
        for a, name in self.kept.items():
            rows = self.nodes[a].rows
            yield f"  {name} = alloca [{rows + 1} x {self.w.vector}], align {self.bytes}"
            yield f"  {name}.end = getelementptr {self.w.vector}, ptr {name}, i64 {rows}"
            yield f"  store {self.w.vector} zeroinitializer, ptr {name}.end, align {self.bytes}"

    def _body(self) -> None:
        wanted = _wanted(self.program)
        for a in wanted:
            if self.nodes[a].op == "from":
                self.kept.setdefault(self.nodes[a].args[0], f"%kept{self.nodes[a].args[0]}")
        groups: _Groups = {}
        for a in wanted:
            if self.nodes[a].op == "sum":
                summed = self.nodes[a].args[0]
                key = (self.levels[a] - 1, self.nodes[summed].rows)
                groups.setdefault(key, []).append(("sum", summed, a))
        for a in self.kept:
            self._join(groups, "keep", a, a)
        for k, output in enumerate(self.program.outputs):
            if self.nodes[output[0]].rows > 1:
                self._join(groups, "store", output[0], k)
        for (level, rows), ends in sorted(self._merged(groups).items()):
            self._loop(f"loop{level}.{rows}", rows, ends)
        for k, output in enumerate(self.program.outputs):
            if self.nodes[output[0]].rows == 1:
                for r, a in enumerate(output):
                    self._store(self._flat(a), f"%out{k}", str(r))

    def _merged(self, groups: _Groups) -> _Groups:
        """With every end in the last loop of its length that comes before it is needed."""
        needed = self._needed(groups)
        merged: _Groups = {}
        for (level, rows), ends in sorted(groups.items()):
            for kind, a, target in ends:
                limit = math.inf if kind == "store" else needed.get(target, math.inf)
                later = max(at for at, n in groups if n == rows and at < max(limit, level + 1))
                merged.setdefault((later, rows), []).append((kind, a, target))
        return merged

    def _needed(self, groups: _Groups) -> dict[int, int]:
        """The level of the first loop that needs a sum, or rows that are kept."""
        needed: dict[int, int] = {}
        for (level, _), ends in groups.items():
            seen, rest = set(), [a for _, a, _ in ends]
            while rest:
                a = rest.pop()
                if a in seen:
                    continue
                seen.add(a)
                node = self.nodes[a]
                if node.op in ("sum", "from"):
                    source = a if node.op == "sum" else node.args[0]
                    needed[source] = min(needed.get(source, level), level)
                else:
                    rest += node.args
        return needed

    def _join(self, groups: _Groups, kind: str, a: int, target: int) -> None:
        key = (self.levels[a], self.nodes[a].rows)
        groups.setdefault(key, []).append((kind, a, target))

    def _loop(self, label: str, rows: int, ends: _Ends) -> None:
        """A loop over rows with all that ends in it."""
        for a in _below(self.nodes, [a for _, a, _ in ends]):
            if self.nodes[a].rows == 1:
                self._flat(a)
        before, i = self.block, f"%i.{label}"
        outer = self.w
        self.w = Writer(outer.lanes, outer.count)
        inside: dict[tuple[int, str], str] = {}
        sums = []
        for kind, a, target in ends:
            value = self._at(a, i, inside)
            if kind == "sum":
                sums.append((target, self.w.add(f"%s{target}", value)))
            elif kind == "keep":
                self._put(value, self.kept[a], i)
            else:
                self._store(value, f"%out{target}", i, past=rows > _CACHED)
        inner, self.w = self.w, outer
        self.w.count = inner.count
        self.w.say(f"  br label %{label}\n{label}:")
        self.w.say(f"  {i} = phi i64 [ 0, %{before} ], [ {i}.next, %{label} ]")
        for target, total in sums:
            self.w.say(
                f"  %s{target} = phi {self.w.vector} [ zeroinitializer, %{before} ], "
                f"[ {total}, %{label} ]"
            )
            self.flat[target] = total
        self.w.lines += inner.lines
        self.w.say(f"  {i}.next = add i64 {i}, 1")
        self.w.say(f"  %more.{label} = icmp slt i64 {i}.next, {rows}")
        self.w.say(f"  br i1 %more.{label}, label %{label}, label %after.{label}")
        self.w.say(f"after.{label}:")
        self.block = f"after.{label}"

    def _flat(self, a: int) -> str:
        """The value of a node without rows."""
        if a not in self.flat:
            node = self.nodes[a]
            if node.op == "row":
                self.flat[a] = self._load(f"%in{node.setting[0]}", str(node.setting[1]))
            elif node.op == "constant":
                self.flat[a] = number(node.setting[0])
            elif node.op in ("array", "table", "at", "from"):
                self.flat[a] = self._row(node, "0", {})
            else:
                self.flat[a] = self._arithmetic(node, [self._flat(x) for x in node.args])
        return self.flat[a]

    def _at(self, a: int, i: str, inside: dict[tuple[int, str], str]) -> str:
        """The value of a node in row i."""
        node = self.nodes[a]
        if node.rows == 1:
            return self._flat(a)
        if (a, i) not in inside:
            inside[a, i] = self._row(node, i, inside)
        return inside[a, i]

    def _row(self, node: Node, i: str, inside: dict[tuple[int, str], str]) -> str:
        if node.op == "array":
            return self._load(f"%in{node.setting[0]}", i)
        if node.op == "table":
            value = self.w.line(f"load float, ptr {self._entry(node.setting[0], i)}, align 4")
            first = self.w.line(f"insertelement {self.w.vector} poison, float {value}, i64 0")
            zeros = f"<{self.w.lanes} x i32> zeroinitializer"
            return self.w.line(
                f"shufflevector {self.w.vector} {first}, {self.w.vector} poison, {zeros}"
            )
        if node.op in ("at", "from"):
            key = (-1 - node.setting[0], i)
            if key not in inside:
                entry = self._entry(node.setting[0], i)
                inside[key] = self.w.line(
                    f"sext i32 {self.w.line(f'load i32, ptr {entry}, align 4')} to i64"
                )
            j, source = inside[key], node.args[0]
            if node.op == "at":
                return self._at(source, j, inside)
            rows = self.nodes[source].rows
            none = self.w.line(f"icmp slt i64 {j}, 0")
            j = self.w.line(f"select i1 {none}, i64 {rows}, i64 {j}")
            place = self.w.line(f"getelementptr {self.w.vector}, ptr {self.kept[source]}, i64 {j}")
            return self.w.line(f"load {self.w.vector}, ptr {place}, align {self.bytes}")
        return self._arithmetic(node, [self._at(x, i, inside) for x in node.args])

    def _entry(self, table: int, i: str) -> str:
        at = self.w.line(f"add i64 {i}, {self.places[table]}")
        return self.w.line(f"getelementptr float, ptr %tables, i64 {at}")

    def _place(self, pointer: str, i: str) -> str:
        at = self.w.line(f"add i64 {self.w.line(f'mul i64 {i}, %stride')}, %b")
        return self.w.line(f"getelementptr float, ptr {pointer}, i64 {at}")

    def _load(self, pointer: str, i: str) -> str:
        return self.w.line(f"load {self.w.vector}, ptr {self._place(pointer, i)}, align 4")

    def _store(self, value: str, pointer: str, i: str, past: bool = False) -> None:
        place = self._place(pointer, i)
        how = "align 64, !nontemporal !0" if past else "align 4"
        self.w.say(f"  store {self.w.vector} {value}, ptr {place}, {how}")

    def _put(self, value: str, pointer: str, i: str) -> None:
        place = self.w.line(f"getelementptr {self.w.vector}, ptr {pointer}, i64 {i}")
        self.w.say(f"  store {self.w.vector} {value}, ptr {place}, align {self.bytes}")

    def _arithmetic(self, node: Node, args: list[str]) -> str:
        op, w = node.op, self.w
        if op in _TWO:
            return w.two(_TWO[op], *args)
        if op in _COMPARED:
            return w.compare(_COMPARED[op], *args)
        if op in _INTRINSIC:
            return w.intrinsic(_INTRINSIC[op], *args)
        if op in FUNCTIONS:
            return w.call(op, *args)
        if op == "div":
            return w.div(*args)
        if op == "max":
            return w.larger(*args)
        if op == "min":
            return w.smaller(*args)
        if op == "where":
            return w.where(*args)
        if op == "and":
            return w.line(f"and {self.w.truth} {args[0]}, {args[1]}")
        if op == "not":
            return w.line(f"xor {self.w.truth} {args[0]}, splat (i1 true)")
        raise Untraceable(f"no instruction for {op}")


def _levels(nodes: list[Node]) -> list[int]:
    """How many loops must have ended before each node.

    The longest loop is dear. Of the sums over its rows those that need none of the others end
    together, as late as the last of them, and so do those that need just these, and so on.
    """
    longest = max((nodes[node.args[0]].rows for node in nodes if node.op == "sum"), default=0)
    together: dict[int, int] = {}  # level of the long loop with so many before it
    while True:
        levels, before, last = [], [], {}
        for node in nodes:
            level = max((levels[x] for x in node.args), default=0)
            loops = max((before[x] for x in node.args), default=0)
            ends = node.op == "sum" and nodes[node.args[0]].rows == longest
            if ends:
                level = max(level, together.get(loops, 0))
                last[loops] = max(level, last.get(loops, 0))
            levels.append(level + (node.op in ("sum", "from")))
            before.append(loops + ends)
        if last == together:
            return levels
        together = last


def _below(nodes: list[Node], ends: list[int]) -> list[int]:
    """The ends and all on which they depend within their loop, in order."""
    found, rest = set(), list(ends)
    while rest:
        a = rest.pop()
        if a in found:
            continue
        found.add(a)
        if nodes[a].rows > 1 and nodes[a].op != "from":
            rest += nodes[a].args
    return sorted(found)


def _wanted(program: Program) -> list[int]:
    """The nodes on which an output depends, in order."""
    found, rest = set(), [a for output in program.outputs for a in output]
    while rest:
        a = rest.pop()
        if a not in found:
            found.add(a)
            rest += program.nodes[a].args
    return sorted(found)


def _places(program: Program) -> tuple[list[int], int]:
    """Where each table begins in all of them together, and their length."""
    places, length = [], 0
    for table in program.tables:
        places.append(length)
        length += len(table)
    return places, length
