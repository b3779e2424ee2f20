"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measuring import Measured, Result
from benchmarks.memory import Growth, Memory
from benchmarks.rows import BEST, GROWTH, LIMIT, PAIR, ROWS, TARGETS, Contender, Target

HEAD = """\
| work | server | requests/s | p99, ms | CPU, us/request | resident, MB | connections | mounted: rate | mounted: CPU |
|---|---|---|---|---|---|---|---|---|"""
TARGETS_HEAD = """\
| work | against | what | target | measured | by CPU per request |
|---|---|---|---|---|---|"""


@dataclass
class Report:
    """All that one run has found."""

    results: dict[str, Result] = field(default_factory=dict)
    hops: dict[str, float] = field(default_factory=dict)
    growth: Growth | None = None
    pair: tuple[Memory, Memory] | None = None
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        parts = []
        if self.results:
            parts.append("\n".join([HEAD, *(line for row in self.results for line in figures(row, self.results[row]))]))
        judged = [line for target in TARGETS if (line := self.judged(target))]
        if judged:
            parts.append("\n".join([TARGETS_HEAD, *judged]))
        parts.extend(self._memory())
        if self.hops:
            hops = ", ".join(f"{name} {cost:.1f} us" for name, cost in self.hops.items())
            parts.append(f"A hop to a thread, 32 requests at once: {hops}.")
        left_out = dict.fromkeys(line for row, result in self.results.items() for line in absent(row, result))
        parts.extend(["\n".join(f"- {line}" for line in [*left_out, *self.notes])] if left_out or self.notes else [])
        return "\n\n".join(parts)

    def _memory(self) -> list[str]:
        lines = []
        if self.growth is not None:
            found = self.growth
            lines.append(
                f"One mounted process, the file of 10 kB: {found.before:.1f} MB resident after {found.few} requests, "
                f"{found.after:.1f} MB after {found.many}{failures(found.failed)}."
            )
        if self.pair is not None:
            one, two = self.pair
            lines.append(
                f"One mounted process: {one.resident:.0f} MB resident{failures(one.failed)}. FastAPI and Django, one "
                f"uvicorn each, after as many of the same requests: {two.resident:.0f} MB{failures(two.failed)}. With "
                f"what processes share counted once (PSS): {one.proportional:.0f} MB and {two.proportional:.0f} MB."
            )
        return lines

    def judged(self, target: Target) -> str:
        """The line of one target; empty where nothing was measured that it speaks of."""
        unit = "MB" if target.figure == "growth" else "x"
        bound = f"{'<=' if target.at_most else '>='} {target.bound:g} {unit}"
        if target.row == GROWTH:
            value = self.growth and self.growth.after - self.growth.before
        elif target.row == PAIR:
            value = self.pair and self.pair[0].resident / self.pair[1].resident
        else:
            return rated(target, bound, self.results[target.row]) if target.row in self.results else ""
        if value is None:
            return ""
        shown = f"{value:.2f} {unit}, {verdict(target, value)}"
        return f"| {target.row} | {target.peer} | {target.figure} | {bound} | {shown} | |"


def failures(count: int) -> str:
    return f" ({count} answers failed)" if count else ""


def verdict(target: Target, value: float) -> str:
    reached = value <= target.bound if target.at_most else value >= target.bound
    return "reached" if reached else "**not reached**"


def ratios(better: list[float], worse: list[float]) -> list[float]:
    """Those of each round: the machine may be another from round to round, and less so within one."""
    return [one / other for one, other in zip(better, worse, strict=True) if one and other]


def ratio(better: list[float], worse: list[float]) -> float | None:
    """The median of the rounds' ratios."""
    found = ratios(better, worse)
    return median(found) if found else None


def quotient(better: float, worse: float) -> float | None:
    """That of two figures of the table: they are rounded as there, so that a reader comes to the same."""
    return round(better) / round(worse) if round(worse) else None


def spread(value: float | None, found: list[float]) -> str:
    """The quotient of the totals, and between which the ratios of the rounds were."""
    return f"{value:.2f} x ({min(found):.2f} to {max(found):.2f})" if value is not None and found else ""


def rated(target: Target, bound: str, result: Result) -> str:
    row = ROWS[target.row]
    start = f"| {target.row} | {target.peer} | {target.figure} | {bound} |"
    mounted = result.measured.get(row.mounted)
    if mounted is None:
        return f"{start} the mounted app was not measured, **not reached** | |"
    if row.ideal is not None and row.ideal[0] == target.peer:
        return f"{start} {shown(target, mounted.rate / row.ideal[1], mounted)} | |"
    name, peer = named(target.peer, row.mounted, result.measured)
    if peer is None:
        return f"{start} not measured | |" if any(target.peer == found.name for found in result.left_out) else ""
    if name != target.peer:
        start = f"| {target.row} | {target.peer}: {name} | {target.figure} | {bound} |"
    if target.figure == "p99":
        return f"{start} {shown(target, ratio(peer.p99s, mounted.p99s), mounted, peer)} | |"
    rate = shown(target, quotient(mounted.rate, peer.rate), mounted, peer)
    return f"{start} {rate} | {shown(target, quotient(peer.cpu, mounted.cpu), mounted, peer)} |"


def shown(target: Target, value: float | None, mounted: Measured, peer: Measured | None = None) -> str:
    if mounted.failed:
        return "the mounted app failed, **not reached**"
    if value is None:
        return "no figure"
    failed = ", the peer failed" if peer is not None and peer.failed else ""
    return f"{value:.2f} x, {verdict(target, value)}{failed}"


def named(peer: str, mounted: Contender, measured: Mapping[Contender, Measured]) -> tuple[str, Measured | None]:
    """The peer of that name; for BEST the fastest of those that are no mere limit."""
    found = {contender.name: figure for contender, figure in measured.items() if contender != mounted}
    if peer != BEST:
        return peer, found.get(peer)
    found.pop(LIMIT, None)
    best = max(found, key=lambda name: found[name].rate, default=BEST)
    return best, found.get(best)


def figures(row: str, result: Result) -> list[str]:
    mounted = result.measured.get(ROWS[row].mounted)
    lines = []
    for contender, found in result.measured.items():
        spreads = ["", ""]
        if mounted is not None and found is not mounted:
            spreads = [
                spread(quotient(mounted.rate, found.rate), ratios(mounted.rates, found.rates)),
                spread(quotient(found.cpu, mounted.cpu), ratios(found.cpus, mounted.cpus)),
            ]
        rate = f"{found.rate:.0f}"
        if found.failed:
            rate += f"; failed: {found.failed} of {found.answers} answers"
        middle = [f"{median(found.p99s):.1f}", f"{found.cpu:.0f}", f"{found.resident:.0f}"]
        cells = [rate, *middle, str(found.connections), *spreads]
        lines.append(f"| {row} | {contender.name} | {' | '.join(cells)} |")
    return lines


def absent(row: str, result: Result) -> list[str]:
    return [f"Left out of {row!r}: {contender.name}: {reason}" for contender, reason in result.left_out.items()]
