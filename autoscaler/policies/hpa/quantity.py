"""Kubernetes quantities as the HPA reads them: whole milli-units.

Source: k8s.io/apimachinery/pkg/api/resource; what is not exact is rounded away from zero.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

INT64_MAX = 2**63 - 1
_FORM = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(raw: str | float) -> Fraction:
    """The exact value of `500m`, `1k`, `128Mi`, `1e3` or a plain number.

    Raises:
        ValueError: it is not a quantity.
    """
    form = _FORM.fullmatch(str(raw))
    if form is None:
        raise ValueError(f"{raw!r} is not a quantity such as 500m, 1k or 128Mi")
    sign, digits, exponent, suffix = form.groups()
    value = Fraction(digits)
    if exponent:
        value *= Fraction(10) ** int(exponent[1:])
    elif suffix in _BINARY:
        value *= 2 ** _BINARY[suffix]
    else:
        value *= Fraction(10) ** _DECIMAL[suffix or ""]
    return -value if sign == "-" else value


def milli(raw: str | float) -> int:
    """A quantity in milli-units, rounded away from zero and held within 64 bits.

    Raises:
        ValueError: it is not a quantity.
    """
    thousandths = parse_quantity(raw) * 1000
    rounded = math.ceil(thousandths) if thousandths >= 0 else math.floor(thousandths)
    return max(-INT64_MAX, min(rounded, INT64_MAX))


def measured_milli(value: float) -> int:
    """A measured number in milli-units, rounded up; what is noise of binary fractions is not."""
    return min(math.ceil(round(value * 1000.0, 6)), INT64_MAX)
