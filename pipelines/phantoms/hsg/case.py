"""One exam before anything is drawn: what each tube is, which difficulty the exam poses, and when films are taken.

Time runs from 0 (injection begins) to about 1 (injection ends); a delayed film comes after. The shares below
are a design, near the paper's 25 % of exams with an occluded tube.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDES = ("right", "left")
STATES = ("patent", "proximal", "distal", "not_seen")
# share of each kind of exam; "paper" is hard, "demo" holds few exams that one film can't tell
SHARES = {
    "paper": {
        "plain": 0.49,
        "spasm": 0.09,  # a patent tube that fills late: looks like a proximal block
        "slow": 0.09,  # patent, but most films are before the spill
        "underfilled": 0.06,  # patent, little contrast arrives
        "unseen": 0.02,  # one tube is never judged: no outcome for it
        "crossing": 0.08,  # one tube blocked, the other's spill crosses to its side
        "unilateral": 0.05,  # one tube blocked, proximal or distal
        "hydrosalpinx": 0.05,  # a dilated club without spill
        "loculated": 0.03,  # contrast leaves the tube into a pocket: not free, read as distal
        "bilateral": 0.04,
    },
    "demo": {
        "plain": 0.66,
        "spasm": 0.03,
        "slow": 0.05,
        "underfilled": 0.01,
        "unseen": 0.0,
        "crossing": 0.03,
        "unilateral": 0.04,
        "hydrosalpinx": 0.09,
        "loculated": 0.01,
        "bilateral": 0.08,
    },
}
SLOW_TOO, LITTLE_TOO = 0.22, 0.16  # of exams with an occluded tube
INTRAVASATION = 0.04  # of all exams, whatever the tubes
SECOND_EXAM = 0.15  # of all women
NAMES = ("scout", "early", "full", "tubal", "spill", "late", "oblique", "delayed")
MOMENTS = (-0.05, 0.10, 0.26, 0.40, 0.52, 0.66, 0.84, 1.35)
TAKEN = (0.8, 0.8, 0.9, 1.0, 1.0, 0.95, 0.6, 0.5)  # share of exams with that film
LOOP_SHARE = 0.5  # of exams with a fluoroscopic loop too
CAPTURE_SHARE = 0.12  # of exams with a secondary capture of one spot
LOOP_FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """One tube and its filling.

    state: of STATES, as the whole exam shows it; reach: share of its length that contrast can fill; opens:
    time at which its cornu lets contrast in; speed: lengths per unit of time; dilated: a hydrosalpinx;
    pocket: spill stays in a pocket; spill_rate: how fast free contrast grows once the end is reached.
    """

    state: str
    reach: float
    opens: float
    speed: float
    dilated: bool
    pocket: bool
    spill_rate: float

    def front(self, time: float) -> float:
        """Share of the tube's length that holds contrast."""
        return float(np.clip((time - self.opens) * self.speed, 0.0, self.reach))

    def spill(self, time: float) -> float:
        """Contrast beyond the fimbria, 0 to about 1."""
        if self.spill_rate == 0 or self.reach < 1:
            return 0.0
        return float(np.clip((min(time, 1.1) - self.opens - 1 / self.speed) * self.spill_rate, 0.0, 1.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One exam.

    crosses: share of a tube's spill that ends on the other side; volume: of contrast, relative; reflux: what
    runs back, relative; spots: time and name of each spot film in order; loop, capture: whether there are a
    fluoroscopic loop and a secondary capture.
    """

    kind: str
    right: Tube
    left: Tube
    crosses: float
    volume: float
    intravasates: bool
    reflux: float
    spots: tuple[tuple[float, str], ...]
    loop: bool
    capture: bool

    @property
    def tubes(self) -> tuple[Tube, Tube]:
        """Right, left."""
        return self.right, self.left

    @property
    def times(self) -> list[float]:
        """Of the spot films, in order."""
        return [time for time, _ in self.spots]

    @property
    def occluded(self) -> int | None:
        """1 where a tube is occluded, 0 where both are patent, None where that is not known."""
        states = {tube.state for tube in self.tubes}
        if states & {"proximal", "distal"}:
            return 1
        return None if "not_seen" in states else 0


def law_of(effect: str) -> str:
    """Which of SHARES an effect draws by."""
    return "demo" if effect == "demo" else "paper"


def draw_exam(rng: np.random.Generator, effect: str, before: Exam | None = None) -> Exam:
    """Draw an exam; of a woman examined before, mostly with the same tubes."""
    shares = SHARES[law_of(effect)]
    kind = str(rng.choice(list(shares), p=np.array([*shares.values()]) / sum(shares.values())))
    if before is not None and rng.random() < 0.8:
        kind = before.kind
    states = _states(rng, kind)
    if before is not None and kind == before.kind:
        states = before.right.state, before.left.state
    late = int(rng.integers(2))  # of a spasm, the side that it takes
    blocked = sum(state in ("proximal", "distal") for state in states)
    # some occluded exams fill slowly and little too: else poor filling alone would tell the patent ones
    slow = kind == "slow" or (blocked > 0 and rng.random() < SLOW_TOO)
    little = kind == "underfilled" or (blocked > 0 and rng.random() < LITTLE_TOO)
    pace = float(rng.uniform(0.45, 0.75) if slow else rng.uniform(1.2, 2.2))
    right, left = (_tube(rng, kind, state, side == late, pace) for side, state in enumerate(states))
    times = np.round(np.array(MOMENTS) + rng.normal(0, 0.03, len(MOMENTS)), 4)
    taken = rng.random(len(MOMENTS)) < np.array(TAKEN)
    spots = sorted((float(time), name) for time, name, kept in zip(times, NAMES, taken, strict=True) if kept)
    return Exam(
        kind=kind,
        right=right,
        left=left,
        crosses=float(rng.uniform(0.35, 0.6) if kind == "crossing" else rng.uniform(0, 0.2)),
        volume=float(rng.uniform(0.4, 0.65) if little else rng.uniform(0.75, 1.25)),
        intravasates=bool(rng.random() < INTRAVASATION),
        # what the tubes do not take comes back
        reflux=float(rng.uniform(0, 0.55) + 0.06 * blocked),
        spots=tuple(spots),
        loop=bool(rng.random() < LOOP_SHARE),
        capture=bool(rng.random() < CAPTURE_SHARE),
    )


def _states(rng: np.random.Generator, kind: str) -> tuple[str, str]:
    block = str(rng.choice(["proximal", "distal"]))
    one = {
        "crossing": block,
        "unilateral": block,
        "hydrosalpinx": "distal",
        "loculated": "distal",
        "unseen": "not_seen",
    }
    if kind == "bilateral":
        return block, str(rng.choice([block, block, "proximal", "distal"]))
    if kind not in one:
        return "patent", "patent"
    second = one[kind] if kind == "hydrosalpinx" and rng.random() < 0.3 else "patent"
    return (one[kind], second) if rng.random() < 0.5 else (second, one[kind])


def _tube(rng: np.random.Generator, kind: str, state: str, late: bool, pace: float) -> Tube:
    opens = float(rng.uniform(0.14, 0.26))
    speed = float(np.clip(pace * rng.uniform(3.2, 5.5), 1.0, 9.0))
    if kind == "spasm" and late:
        opens = float(rng.uniform(0.55, 1.0))
    if state == "not_seen":
        opens, speed = 0.3, 1.0
    dilated = kind == "hydrosalpinx" and state == "distal"
    pocket = kind == "loculated" and state == "distal"
    reach = {"proximal": rng.choice([0.0, rng.uniform(0.02, 0.30)]), "distal": rng.uniform(0.86, 1.0)}
    whole = state in ("patent", "not_seen") or pocket
    spill_rate = 0.0 if not whole else float(rng.uniform(0.25, 0.5) if pocket else rng.uniform(0.7, 2.2))
    return Tube(
        state=state,
        reach=1.0 if whole else float(reach[state]),
        opens=opens,
        speed=speed,
        dilated=dilated,
        pocket=pocket,
        spill_rate=spill_rate,
    )
