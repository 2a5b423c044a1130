"""Typed values of policy files: each is written with its unit and refused without it.

A parser raises ValueError whose text says what is allowed; the value itself is shown by whoever reports it.
"""

from __future__ import annotations

import math
import re
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from autoscaler.model import Moment

_UNITS_S = {"d": Decimal(86_400), "h": Decimal(3_600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
_AMOUNT = r"(\d{1,12}(?:\.\d{1,12})?)"
DURATION_PATTERN = rf"(?=\d)(?:{_AMOUNT}d)?(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?(?:{_AMOUNT}ms)?"
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
DURATION_ALLOWED = "a duration with its unit, such as 800ms, 15s, 5m or 1h30m"

SHARE_PATTERN = r"(\d{1,3}(?:\.\d{1,12})?)%"
_SHARE = re.compile(SHARE_PATTERN, re.ASCII)
SHARE_ALLOWED = "a share in percent, above 0% and below 100%, such as 99% or 99.9%"

_QUANTITY = re.compile(
    r"([+-]?(?:\d{1,20}(?:\.\d{0,12})?|\.\d{1,12}))(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i))?", re.ASCII
)
_DECIMAL_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_POWERS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
QUANTITY_ALLOWED = "a Kubernetes quantity above 0, such as 700m, 10 or 1.5k"


def parse_duration(raw: object) -> float:
    """Seconds of `800ms`, `15s`, `5m`, `1h30m` or `1d`; units from large to small, each at most once.

    Raises:
        ValueError: it is no such duration.
    """
    form = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
    if form is None:
        raise ValueError(DURATION_ALLOWED)
    amounts = zip(form.groups(), _UNITS_S.values(), strict=True)
    return float(sum((Decimal(amount) * unit for amount, unit in amounts if amount), Decimal(0)))


def format_duration(seconds: float) -> str:
    """The shortest usual notation that parses to exactly these seconds."""
    exact = Decimal(repr(seconds))
    if exact and exact < 1:
        return f"{_plain(exact * 1000)}ms"
    if exact % 1 == 0 and exact >= 60:
        return _whole_parts(int(exact))
    return f"{_plain(exact)}s"


def _whole_parts(seconds: int) -> str:
    parts = []
    for unit, size in (("h", 3_600), ("m", 60), ("s", 1)):
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_share(raw: object) -> float:
    """The ratio of `99%`.

    Raises:
        ValueError: it is no share in percent, or not between 0 % and 100 %.
    """
    form = _SHARE.fullmatch(raw) if isinstance(raw, str) else None
    if form is None or not 0 < Decimal(form[1]) < 100:
        raise ValueError(SHARE_ALLOWED)
    return float(Decimal(form[1]) / 100)


def format_share(ratio: float) -> str:
    """Percent that parse to exactly this ratio."""
    return f"{_plain(Decimal(repr(ratio)) * 100)}%"


def parse_quantity(raw: object) -> Decimal:
    """The exact value of a Kubernetes quantity: `700m`, `10`, `1.5k`, `128Mi`, `1e3`.

    Source: k8s.io/apimachinery/pkg/api/resource.

    Raises:
        ValueError: it is no quantity.
    """
    form = None if isinstance(raw, bool) else _QUANTITY.fullmatch(str(raw))
    if form is None:
        raise ValueError(QUANTITY_ALLOWED)
    digits, exponent, suffix = form.groups()
    if suffix in _BINARY_POWERS:
        return Decimal(digits) * Decimal(2) ** _BINARY_POWERS[suffix]
    power = int(exponent) if exponent else _DECIMAL_POWERS.get(suffix or "", 0)
    return Decimal(digits).scaleb(power)


def _above_zero(raw: object) -> str:
    if parse_quantity(raw) <= 0:
        raise ValueError(QUANTITY_ALLOWED)
    return str(raw)


def _not_negative(raw: object) -> str:
    if parse_quantity(raw) < 0:
        raise ValueError("a Kubernetes quantity of at least 0, such as 0, 50m or 0.1")
    return str(raw)


def _real(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError("a number")
    return float(raw)


def _lenient_real(raw: object) -> float:
    """A number that other projects' files may hold as text (`threshold: "5"`)."""
    try:
        return _real(float(raw) if isinstance(raw, str) else raw)
    except ValueError:
        raise ValueError('a number, such as 5 or "5"') from None


def _lenient_flag(raw: object) -> bool:
    """A switch that other projects' files may hold as text (`ignoreNullValues: "false"`)."""
    flag = {"true": True, "false": False}.get(str(raw).lower())
    if flag is None:
        raise ValueError('true or false, or "true" or "false"')
    return flag


def _zone(raw: object) -> str:
    try:
        return ZoneInfo(str(raw)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, or a name too long for a file
        near = get_close_matches(str(raw), available_timezones(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"a time zone of the IANA database, such as UTC or Europe/Zurich{hint}") from None


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOMENT_PATTERN = r"(?:(\d{4}-\d\d-\d\d)T|(Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(\d\d:\d\d)"
_MOMENT = re.compile(MOMENT_PATTERN, re.ASCII)
MOMENT_ALLOWED = 'a local time in quotes: once "2026-12-24T18:00", every week "Mon 09:00", every day "09:00"'


def parse_moment(raw: object) -> Moment:
    """The local time of `2026-12-24T18:00`, `Mon 09:00` or `09:00`.

    Raises:
        ValueError: it is no such time.
    """
    form = _MOMENT.fullmatch(raw) if isinstance(raw, str) else None
    if form is None:
        raise ValueError(MOMENT_ALLOWED)
    day, weekday, at = form.groups()
    try:
        return Moment(
            at=time.fromisoformat(at),
            weekday=WEEKDAYS.index(weekday) if weekday else None,
            day=date.fromisoformat(day) if day else None,
        )
    except ValueError:
        raise ValueError(MOMENT_ALLOWED) from None


def format_moment(moment: Moment) -> str:
    """The notation that parses to it."""
    at = f"{moment.at:%H:%M}"
    if moment.day is not None:
        return f"{moment.day.isoformat()}T{at}"
    return at if moment.weekday is None else f"{WEEKDAYS[moment.weekday]} {at}"


def _positive_duration(raw: object) -> float:
    seconds = parse_duration(raw)
    if seconds <= 0:
        raise ValueError(f"above 0; {DURATION_ALLOWED}")
    return seconds


def _schema(called: str, kind: str | list[str], pattern: str | None = None, *examples: str | float) -> WithJsonSchema:
    schema: dict[str, object] = {"title": called, "type": kind}
    if pattern is not None:
        schema["pattern"] = f"^{pattern}$"
    if examples:
        schema["examples"] = list(examples)
    return WithJsonSchema(schema)


def within(low: float | None = None, high: float | None = None, *, above: float | None = None) -> FieldInfo:
    """Bounds on a number that is parsed here, which JSON Schema would not hear of by itself."""
    said = {"minimum": low, "maximum": high, "exclusiveMinimum": above}
    extra: JsonDict = {key: bound for key, bound in said.items() if bound is not None}
    bounds: FieldInfo = Field(ge=low, le=high, gt=above, json_schema_extra=extra)
    return bounds


_write_duration = PlainSerializer(format_duration, return_type=str)
_duration_schema = _schema("duration", "string", DURATION_PATTERN, "800ms", "15s", "1h30m")

Duration = Annotated[float, BeforeValidator(_positive_duration), _write_duration, _duration_schema]
"""Seconds, above 0."""
DurationOrZero = Annotated[float, BeforeValidator(parse_duration), _write_duration, _duration_schema]
"""Seconds, at least 0."""
_write_share = PlainSerializer(format_share, return_type=str)
Share = Annotated[float, BeforeValidator(parse_share), _write_share, _schema("share", "string", SHARE_PATTERN, "99%")]
"""A ratio, above 0 and below 1."""
_quantity_schema = _schema("quantity", ["string", "number"], None, "700m", 10)
Quantity = Annotated[str, BeforeValidator(_above_zero), _quantity_schema]
"""A Kubernetes quantity above 0, kept as it is written."""
QuantityOrZero = Annotated[str, BeforeValidator(_not_negative), _quantity_schema]
"""A Kubernetes quantity of at least 0, kept as it is written."""
LocalMoment = Annotated[
    Moment,
    BeforeValidator(parse_moment),
    PlainSerializer(format_moment, return_type=str),
    _schema("local time", "string", MOMENT_PATTERN, "2026-12-24T18:00", "Mon 09:00", "09:00"),
]
"""A local time: of one date, of one day of every week, or of every day."""
TimeZone = Annotated[str, BeforeValidator(_zone), _schema("time zone", "string", None, "Europe/Zurich")]
"""A name of the IANA database."""
Count = Annotated[int, Strict()]
"""A whole number."""
Flag = Annotated[bool, Strict()]
Real = Annotated[float, BeforeValidator(_real), _schema("number", "number")]
"""A finite number."""
PositiveReal = Annotated[Real, within(above=0)]
LenientReal = Annotated[float, BeforeValidator(_lenient_real), _schema("number", ["number", "string"])]
"""A finite number; text that holds one is taken too."""
LenientFlag = Annotated[bool, BeforeValidator(_lenient_flag), _schema("true or false", ["boolean", "string"])]
"""A switch; the words true and false in quotes are taken too."""
