"""Vehicles, people and what stands on roads, as lists of parts. +x is where they drive or look."""

from __future__ import annotations

from .parts import DARK, GLASS, OWN, PALE, SHADED, STEEL, WHITE, Part, Tone, ball, block, both, hull, lathe, wheel

STRIPE = Tone(0.0, 0.95, 0.95, 0.93)
SKIN = Tone(0.0, 0.87, 0.67, 0.53)
HEADLIGHT = Tone(0.0, 1.0, 0.98, 0.82)
TAILLIGHT = Tone(0.0, 0.75, 0.05, 0.05)


def _lamps(front: float, back: float, y: tuple[float, float], z: float) -> list[Part]:
    """Headlights at the front, red lights at the back."""
    return [
        *both((front - 0.06, front + 0.02), y, (z, z + 0.14), HEADLIGHT),
        *both((back - 0.02, back + 0.06), y, (z + 0.05, z + 0.19), TAILLIGHT),
    ]


def car() -> list[Part]:
    """Bonnet at +x, a cabin toward the rear, lights."""
    body = [(-2.15, 0.86, 0.30), (-2.2, 0.84, 0.75), (-2.1, 0.82, 0.92), (1.2, 0.82, 0.88), (2.1, 0.78, 0.72)]
    cabin = [(-1.95, 0.78, 0.88), (-1.45, 0.62, 1.40), (0.10, 0.62, 1.42), (0.95, 0.78, 0.86)]
    roof = [(-1.47, 0.64, 1.40), (0.12, 0.64, 1.40), (-1.40, 0.58, 1.47), (0.02, 0.58, 1.47)]
    return [
        hull([*body, (2.2, 0.80, 0.30), (2.2, 0.80, 0.62), (-2.15, 0.88, 0.5), (2.0, 0.88, 0.5)]),
        hull(cabin, GLASS),
        hull(roof),
        *both((-0.72, -0.62), (0.60, 0.745), (0.86, 1.40)),
        *_lamps(2.2, -2.2, (0.48, 0.78), 0.55),
        block((2.17, 2.22), (-0.40, 0.40), (0.36, 0.50), DARK),
        *wheel(1.35, 0.90, 0.34, 0.22),
        *wheel(-1.35, 0.90, 0.34, 0.22),
    ]


def truck() -> list[Part]:
    """A cab at +x, a pale box behind it."""
    return [
        block((-3.4, 3.3), (-0.75, 0.75), (0.55, 0.85), DARK),
        hull([(1.75, 1.15, 0.5), (1.75, 1.15, 2.7), (3.0, 1.15, 2.7), (3.45, 1.15, 1.7), (3.5, 1.15, 0.5)]),
        hull([(3.03, 1.05, 2.6), (3.44, 1.05, 1.75), (2.9, 1.05, 2.55), (3.3, 1.05, 1.75)], GLASS),
        *both((2.2, 3.05), (1.1, 1.16), (1.75, 2.45), GLASS),
        block((-3.5, 1.65), (-1.22, 1.22), (0.85, 3.1), PALE),
        *_lamps(3.5, -3.5, (0.75, 1.08), 0.70),
        *wheel(2.5, 1.2, 0.5, 0.3),
        *wheel(-2.1, 1.2, 0.5, 0.3),
    ]


def bus() -> list[Part]:
    """A large windscreen at +x, windows along both sides."""
    windows = [both((x, x + 1.15), (1.2, 1.26), (1.45, 2.45), GLASS) for x in (-4.1, -2.75, -1.4, -0.05, 1.3, 2.65)]
    return [
        block((-4.5, 4.5), (-1.25, 1.25), (0.35, 3.05)),
        block((4.45, 4.52), (-1.15, 1.15), (1.15, 2.65), GLASS),
        block((4.45, 4.53), (-0.9, 0.9), (2.72, 2.95), HEADLIGHT),
        block((-4.52, -4.45), (-0.9, 0.9), (1.8, 2.5), GLASS),
        block((-4.0, 4.0), (-0.9, 0.9), (3.05, 3.15), SHADED),
        *(part for row in windows for part in row),
        *_lamps(4.5, -4.5, (0.75, 1.15), 0.6),
        *wheel(2.8, 1.28, 0.5, 0.3),
        *wheel(-2.8, 1.28, 0.5, 0.3),
    ]


def motorcycle() -> list[Part]:
    """Handlebars and the headlight at +x."""
    return [
        *wheel(0.70, 0.06, 0.32, 0.12),
        *wheel(-0.70, 0.07, 0.32, 0.14),
        hull([(0.62, 0.05, 0.36), (0.36, 0.05, 0.98), (0.44, 0.05, 1.0), (0.72, 0.05, 0.36)], STEEL),
        hull([(-0.45, 0.14, 0.40), (0.35, 0.12, 0.40), (0.35, 0.15, 0.85), (-0.1, 0.15, 0.72), (-0.3, 0.1, 0.35)]),
        hull([(-0.95, 0.10, 0.86), (-0.1, 0.15, 0.74), (-0.15, 0.12, 0.66), (-0.75, 0.10, 0.68)], DARK),
        *both((0.28, 0.36), (0.05, 0.36), (1.0, 1.05), DARK),
        ball((0.52, 0.0, 0.85), (0.09, 0.10, 0.10), HEADLIGHT),
        block((-0.98, -0.93), (-0.06, 0.06), (0.72, 0.80), TAILLIGHT),
    ]


def person() -> list[Part]:
    """Looks to +x; shoes and nose show where that is. Clothes have the person's color, hair and trousers are dark."""
    return [
        *both((-0.13, 0.17), (0.03, 0.15), (0.0, 0.08), DARK),
        *both((-0.09, 0.09), (0.02, 0.17), (0.08, 0.84), GLASS),
        hull([(-0.11, 0.18, 0.82), (0.11, 0.18, 0.82), (-0.11, 0.23, 1.42), (0.11, 0.23, 1.42), (0.06, 0.08, 1.50)]),
        *both((-0.05, 0.07), (0.235, 0.32), (0.85, 1.40)),
        *both((-0.03, 0.09), (0.24, 0.315), (0.75, 0.85), SKIN),
        block((-0.05, 0.05), (-0.06, 0.06), (1.45, 1.55), SKIN),
        ball((0.02, 0.0, 1.62), (0.115, 0.095, 0.135), SKIN),
        ball((-0.02, 0.0, 1.65), (0.12, 0.105, 0.13), DARK),
        hull([(0.12, 0.02, 1.58), (0.165, 0.01, 1.59), (0.12, 0.01, 1.66)], SKIN),
    ]


def traffic_cone() -> list[Part]:
    """No front."""
    rings = [(0.04, 0.26, OWN), (0.26, 0.40, STRIPE), (0.40, 0.54, OWN), (0.54, 0.64, STRIPE), (0.64, 0.75, OWN)]
    return [
        block((-0.22, 0.22), (-0.22, 0.22), (0.0, 0.04), DARK),
        *(lathe([(0.0, a), (0.19 - 0.22 * a, a), (0.19 - 0.22 * b, b), (0.0, b)], tone) for a, b, tone in rings),
    ]


def barrier() -> list[Part]:
    """A striped board across, the same from both sides; no front."""
    stripes = [both((-0.045, 0.045), (y, y + 0.2), (0.62, 0.88), STRIPE) for y in (0.1, 0.5)]
    return [
        block((-0.04, 0.04), (-0.9, 0.9), (0.60, 0.90)),
        block((-0.03, 0.03), (-0.9, 0.9), (0.28, 0.42), WHITE),
        *both((-0.05, 0.05), (0.66, 0.74), (0.0, 0.98), STEEL),
        *both((-0.30, 0.30), (0.64, 0.76), (0.0, 0.06), DARK),
        *(part for row in stripes for part in row),
    ]
