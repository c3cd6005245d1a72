"""The report of an audit: as text, JSON-safe values or one HTML file, the verdict first."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fractalrs.privacy.attacks import ATTACKERS, Attacker, Kind
from fractalrs.privacy.business import Fact
from fractalrs.privacy.controls import Control
from fractalrs.privacy.rates import LEVEL, Advantage, Rate
from fractalrs.tools import Shown
from fractalrs.validation import aligned, for_people, number, plain, write_page_like

EVERYBODY = "everybody"
"""The group that a verdict is about, beside those at risk."""
JUDGED: Attacker = "output"
"""Who gets what is given away, and no more."""
MOST_UNSEEN = 0.1
"""Where more than so much cannot be excluded, "nothing found" would say nothing."""
NOT_TRIED = (
    "attackers who know more than histories: friends, places, times to the second",
    "learned attacks, with models trained on outputs of their own",
    "what times tell",
)


@dataclass(frozen=True, repr=False)
class Finding(Shown):
    """What an attack found.

    Attributes
    ----------
    attack, attacker, kind
        Its name, who can do it, and what it is after.
    known
        Share of each person's interactions that the attacker knows.
    group
        Of whom: everybody, or those at risk.
    advantage
        How often members and controls are claimed.
    right
        Of the members that are claimed, with how many the row, too, is theirs; None where nobody can say.
    area
        The probability that a member scores higher than a control, with its interval; None without scores.
    """

    attack: str
    attacker: Attacker
    kind: Kind
    known: float
    group: str
    advantage: Advantage
    right: Rate | None
    area: tuple[float, float, float] | None


@dataclass(frozen=True, repr=False)
class AuditReport(Shown):
    """What attackers find out from an output about the people it was made of.

    Attributes
    ----------
    expansion
        The fingerprint of what was attacked.
    subject
        What was attacked, for people.
    findings
        Of all attacks.
    controls
        Of the attacks whose outcome was known.
    facts
        What the output tells of the business.
    most_advantage
        How much more often members may be claimed than controls.
    not_tried
        What attackers may do beside.
    seconds
        Time that each attack took.
    """

    expansion: str
    subject: dict[str, Any]
    findings: tuple[Finding, ...]
    controls: tuple[Control, ...]
    facts: tuple[Fact, ...]
    most_advantage: float
    not_tried: tuple[str, ...] = NOT_TRIED
    seconds: dict[str, float] = field(default_factory=dict)

    def _facts(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "findings": len(self.findings), "epsilon at least": self.epsilon}

    @cached_property
    def _judged(self) -> tuple[Finding, ...]:
        """What those with the output alone found."""
        return tuple(one for one in self.findings if one.attacker == JUDGED)

    @property
    def _of_everybody(self) -> list[Finding]:
        return [one for one in self._judged if one.group == EVERYBODY]

    @property
    def _level(self) -> float:
        """Of intervals together, since chance has as many occasions as there are attacks (Bonferroni)."""
        return 1 - (1 - LEVEL) / max(1, len(self._judged))

    @property
    def measured(self) -> bool:
        """Whether all controls came out as they must, and there are people enough to see what is there."""
        return all(control.holds for control in self.controls) and (bool(self.found) or self.unseen <= MOST_UNSEEN)

    @property
    def unseen(self) -> float:
        """How much more often members than controls may be found, by the intervals of the attacks tried."""
        return max((one.advantage.high for one in self._of_everybody), default=0.0)

    @cached_property
    def found(self) -> tuple[Finding, ...]:
        """What an attacker with the output alone finds, beyond chance, and beyond what is allowed."""
        return tuple(one for one in self._judged if one.advantage.at(self._level).low > self.most_advantage)

    @cached_property
    def within(self) -> tuple[Finding, ...]:
        """What such an attacker finds beyond chance, and within what is allowed."""
        beyond = (one for one in self._judged if one.advantage.at(self._level).low > 0)
        return tuple(one for one in beyond if one not in self.found)

    @property
    def holds(self) -> bool:
        """Whether controls came out as they must, and nothing was found."""
        return self.measured and not self.found

    @property
    def strongest(self) -> Finding | None:
        """The attack with the output alone that claims most members of everybody beyond controls."""
        return max(self._of_everybody, key=lambda one: one.advantage.value, default=None)

    @property
    def epsilon(self) -> float:
        """No mechanism with a smaller ε, for whole users, fits what those with the output alone found."""
        return max((one.advantage.at(self._level).epsilon for one in self._judged), default=0.0)

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        failed = [control.name for control in self.controls if not control.holds]
        if not failed and not self.measured:
            return f"not measured: of so few people up to {self.unseen:.0%} more than controls could be found unseen"
        if failed:
            return f"not measured: {' and '.join(failed)} did not come out as it must"
        strongest = self.strongest
        if strongest is None:
            return "not judged: no attacker with the output alone was asked for"
        counts = _counts(strongest.advantage)
        if not self.found:
            told = f"{counts}, and up to {self.unseen:.1%} more cannot be excluded"
            if not self.within:
                return f"nothing found by the attacks tried: {told}"
            ways = ", ".join(dict.fromkeys(f"{one.attack} ({one.group})" for one in self.within))
            allowed = f"{100 * self.most_advantage:g}% that are allowed"
            return f"nothing found beyond the {allowed}: {told}; members are found, more than by chance, by {ways}"
        surest = max(self.found, key=lambda one: (one.group == EVERYBODY, one.advantage.low))
        if surest.group == EVERYBODY:
            return f"members are found: {_counts(surest.advantage)}, from the output alone"
        return f"members at risk are found: {_counts(surest.advantage)}, of {surest.group}"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON takes."""
        return {
            "verdict": self.verdict,
            "holds": self.holds,
            "measured": self.measured,
            "epsilon_at_least": self.epsilon,
            "most_advantage": self.most_advantage,
            "expansion": self.expansion,
            "subject": plain(self.subject),
            "findings": [_flat(one) for one in self.findings],
            "controls": [
                {"name": one.name, "wanted": one.wanted, "holds": one.holds, **_advantage(one.advantage)}
                for one in self.controls
            ],
            "business": [vars(one) for one in self.facts],
            "not_tried": list(self.not_tried),
            "seconds": self.seconds,
        }

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no network and no script.

        Parameters
        ----------
        path
            The file, replaced if it exists; its folder must exist.

        Raises
        ------
        OutputError
            If the file cannot be written.
        InputError
            If the path is none, or what draws is not installed.
        """
        write_page_like(
            path,
            "fractalrs.privacy",
            "audit.html.jinja",
            self.seconds,
            report=self,
            attackers={
                name: (told, [one for one in self.findings if one.attacker == name]) for name, told in ATTACKERS.items()
            },
            shown=for_people(self.subject),
            share=_share,
            interval=_interval,
            not_tried=self.not_tried,
        )

    def __str__(self) -> str:
        lines = [self.verdict, *(f"{name}: {value}" for name, value in for_people(self.subject)), ""]
        head = ("attacker", "attack", "known", "of whom", "members", "controls", "beyond, 95 %", "right", "AUC", "ε ≥")
        rows = [head, *(self._row(one) for one in self.findings)]
        lines += [*aligned(rows, "<<><>>>>>>"), ""]
        rows = [("control", "members", "controls", "outcome")]
        rows += [
            (one.name, _share(one.advantage.members), _share(one.advantage.controls), "holds" if one.holds else "FAILS")
            for one in self.controls
        ]
        lines += [*aligned(rows, "<>><"), ""]
        facts = [("business", "real", "output", "does the output tell?")]
        facts += [(one.name, number(one.real), number(one.output), one.told) for one in self.facts]
        return "\n".join([*lines, *aligned(facts, "<>><"), "", f"not tried: {'; '.join(self.not_tried)}"])

    @staticmethod
    def _row(one: Finding) -> tuple[str, ...]:
        return (
            one.attacker,
            one.attack,
            f"{one.known:.0%}",
            one.group,
            _share(one.advantage.members),
            _share(one.advantage.controls),
            _interval(one.advantage.low, one.advantage.high),
            "–" if one.right is None else _share(one.right),
            "–" if one.area is None else f"{one.area[0]:.3f}",
            f"{one.advantage.epsilon:.1f}",
        )


def _counts(advantage: Advantage) -> str:
    members, controls = advantage.members, advantage.controls
    return f"{members.count:,} of {members.of:,} members and {controls.count:,} of {controls.of:,} controls are claimed"


def _share(rate: Rate) -> str:
    return f"{rate.count:,}/{rate.of:,}"


def _interval(low: float, high: float) -> str:
    return f"{low:+.3f} to {high:+.3f}".replace("-", "−")


def _advantage(advantage: Advantage) -> dict[str, Any]:
    rates = {"members": advantage.members, "controls": advantage.controls}
    told: dict[str, Any] = {name: vars(rate) for name, rate in rates.items()}
    return told | {"interval": [advantage.low, advantage.high], "epsilon_at_least": advantage.epsilon}


def _flat(one: Finding) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("attack", "attacker", "kind", "known", "group")},
        **_advantage(one.advantage),
        "right": None if one.right is None else vars(one.right),
        "area": None if one.area is None else list(one.area),
    }
