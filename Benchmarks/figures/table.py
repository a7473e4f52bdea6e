"""A measured figure and how it is printed."""
from dataclasses import dataclass


@dataclass
class Row:
    what: str
    value: float
    unit: str
    floor_name: str = ""
    floor: float | None = None
    # For pairs measured in turns, where the median of the ratios is not the ratio of the medians.
    paired_ratio: float | None = None
    goal: float | None = None
    goal_ratio: float | None = None
    # For figures of which more is better.
    goal_least: float | None = None

    @property
    def ratio(self):
        return self.paired_ratio if self.paired_ratio is not None else self.value / self.floor if self.floor else None

    @property
    def reached(self):
        """Whether the goal is; None without one."""
        met = [self.value <= self.goal] if self.goal is not None else []
        met += [self.ratio <= self.goal_ratio] if self.goal_ratio is not None else []
        met += [self.value >= self.goal_least] if self.goal_least is not None else []
        return all(met) if met else None

    def record(self):
        fields = {"what": self.what, "value": self.value, "unit": self.unit, "floorName": self.floor_name or None, "floor": self.floor,
                  "ratio": self.ratio, "goal": self.goal, "goalRatio": self.goal_ratio,
                  "goalLeast": self.goal_least, "reached": self.reached}
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in fields.items()}

    def cells(self):
        goals = ([f"{number(self.goal)} {self.unit}".strip()] if self.goal is not None else []) + (
            [f"{self.goal_ratio:.3g}x"] if self.goal_ratio is not None else []) + (
            [f"at least {number(self.goal_least)} {self.unit}"] if self.goal_least is not None else [])
        floor = "" if self.floor is None else f"{number(self.floor)} {self.unit}".strip()
        return [self.what, f"{number(self.value)} {self.unit}".strip(), floor, self.floor_name, "" if self.ratio is None else f"{self.ratio:.2f}",
                ", ".join(goals), {True: "yes", False: "NO", None: ""}[self.reached]]


def number(value):
    """Three digits, without an exponent."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows):
    lines = [["", "footbridge", "floor", "", "ratio", "goal", "reached"]] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(7)]
    left = {0, 3, 5, 6}
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) if column in left else cell.rjust(width)
                         for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)
