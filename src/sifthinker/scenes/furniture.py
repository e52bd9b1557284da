"""Furniture as lists of parts: what stands in rooms, and what stands on tables. +x is the front, where there is one."""

from __future__ import annotations

from .parts import DARK, GLASS, LEAF, PALE, SHADED, STEEL, WHITE, WOOD, Part, ball, block, both, hull, lathe, legs


def chair() -> list[Part]:
    """Seat, four legs, and a back at -x."""
    return [
        block((-0.22, 0.22), (-0.22, 0.22), (0.42, 0.48)),
        block((-0.22, -0.17), (-0.22, 0.22), (0.60, 0.95)),
        *both((-0.22, -0.17), (0.17, 0.22), (0.48, 0.60), WOOD),
        *legs(0.21, 0.21, 0.42, 0.045, WOOD),
    ]


def sofa() -> list[Part]:
    """Base, back at -x, arms, two cushions."""
    return [
        block((-0.45, 0.43), (-0.98, 0.98), (0.08, 0.30), SHADED),
        block((-0.45, -0.18), (-0.98, 0.98), (0.30, 0.85)),
        *both((-0.45, 0.45), (0.80, 1.0), (0.08, 0.62)),
        *both((-0.18, 0.46), (0.01, 0.79), (0.30, 0.45)),
        *legs(0.42, 0.95, 0.08, 0.06, DARK),
    ]


def armchair() -> list[Part]:
    """A sofa for one."""
    return [
        block((-0.42, 0.38), (-0.40, 0.40), (0.10, 0.30), SHADED),
        block((-0.42, -0.18), (-0.42, 0.42), (0.30, 0.92)),
        *both((-0.42, 0.40), (0.27, 0.45), (0.10, 0.62)),
        block((-0.18, 0.41), (-0.265, 0.265), (0.30, 0.45)),
        *legs(0.38, 0.40, 0.10, 0.06, DARK),
    ]


def bed() -> list[Part]:
    """Headboard and pillows at -x; its front is the foot."""
    return [
        block((-1.0, 1.0), (-0.76, 0.76), (0.10, 0.30), WOOD),
        block((-0.98, 0.97), (-0.73, 0.73), (0.30, 0.48), WHITE),
        block((-0.40, 1.01), (-0.77, 0.77), (0.22, 0.54)),
        block((-1.06, -1.0), (-0.78, 0.78), (0.0, 1.05), WOOD),
        *(Part(p.mesh, WHITE) for y in (-0.37, 0.37) for p in [ball((-0.70, y, 0.55), (0.24, 0.31, 0.10))]),
        *legs(0.98, 0.74, 0.10, 0.08, DARK),
    ]


def desk() -> list[Part]:
    """Drawers on both sides, their handles at +x where one sits, a panel at the back."""
    drawers = [both((0.325, 0.335), (0.36, 0.67), (z, z + 0.17), PALE) for z in (0.10, 0.30, 0.50)]
    handles = [both((0.335, 0.355), (0.47, 0.56), (z + 0.08, z + 0.10), DARK) for z in (0.10, 0.30, 0.50)]
    return [
        block((-0.37, 0.37), (-0.75, 0.75), (0.70, 0.75)),
        *both((-0.33, 0.325), (0.34, 0.69), (0.04, 0.70), SHADED),
        block((-0.33, -0.30), (-0.34, 0.34), (0.25, 0.70), SHADED),
        *(part for row in (*drawers, *handles) for part in row),
    ]


def bookcase() -> list[Part]:
    """Shelves with books, open at +x."""
    levels = (0.04, 0.44, 0.84, 1.24)
    books = []
    for level, tones in zip(
        levels, ((WOOD, PALE, DARK), (DARK, WHITE, WOOD), (PALE, WOOD, WHITE), (WHITE,)), strict=True
    ):
        for place, tone in enumerate(tones):
            y = 0.02 + 0.12 * place
            books += both((-0.10, 0.09), (y, y + 0.11), (level + 0.03, level + 0.24 + 0.04 * place), tone)
    return [
        block((-0.15, -0.12), (-0.42, 0.42), (0.0, 1.66), SHADED),
        *both((-0.15, 0.15), (0.40, 0.44), (0.0, 1.70)),
        *(block((-0.15, 0.15), (-0.40, 0.40), (z, z + 0.03)) for z in (*levels, 1.66)),
        *books,
    ]


def cabinet() -> list[Part]:
    """Two doors with knobs at +x."""
    return [
        block((-0.22, 0.20), (-0.50, 0.50), (0.10, 0.95)),
        *both((0.20, 0.22), (0.01, 0.47), (0.14, 0.91), PALE),
        *both((0.22, 0.25), (0.05, 0.08), (0.50, 0.62), DARK),
        *legs(0.20, 0.48, 0.10, 0.06, DARK),
    ]


def television() -> list[Part]:
    """A screen that looks to +x, on a low stand."""
    return [
        block((-0.06, 0.02), (-0.62, 0.62), (0.30, 1.02)),
        block((0.02, 0.03), (-0.59, 0.59), (0.33, 0.99), GLASS),
        block((-0.04, 0.0), (-0.06, 0.06), (0.06, 0.30), DARK),
        block((-0.16, 0.16), (-0.36, 0.36), (0.0, 0.06), DARK),
    ]


def table() -> list[Part]:
    """A top on four legs; no front."""
    return [block((-0.45, 0.45), (-0.75, 0.75), (0.70, 0.75)), *legs(0.42, 0.72, 0.70, 0.07, SHADED)]


def stool() -> list[Part]:
    """A round seat; no front."""
    return [
        lathe([(0.0, 0.42), (0.18, 0.42), (0.20, 0.44), (0.20, 0.48), (0.18, 0.50), (0.0, 0.50)]),
        *legs(0.14, 0.14, 0.42, 0.035, WOOD),
    ]


def lamp() -> list[Part]:
    """A floor lamp; no front."""
    return [
        lathe([(0.0, 0.0), (0.16, 0.0), (0.16, 0.02), (0.02, 0.05), (0.015, 1.3), (0.0, 1.3)], DARK),
        lathe([(0.0, 1.18), (0.24, 1.18), (0.15, 1.55), (0.0, 1.55)]),
    ]


def plant() -> list[Part]:
    """A pot and leaves; no front."""
    around = [((0.13 * x, 0.14 * y, 0.61), 0.17) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    leaves = [((0.0, 0.0, 0.78), 0.24), *around]
    return [
        lathe([(0.0, 0.0), (0.14, 0.0), (0.20, 0.34), (0.17, 0.34), (0.17, 0.30), (0.0, 0.30)]),
        lathe([(0.0, 0.28), (0.03, 0.28), (0.03, 0.6), (0.0, 0.6)], WOOD),
        *(ball(center, (radius, radius, radius), LEAF) for center, radius in leaves),
    ]


def laptop() -> list[Part]:
    """The open side, with screen and keys, looks to +x."""
    return [
        block((-0.11, 0.12), (-0.17, 0.17), (0.0, 0.018), STEEL),
        block((0.0, 0.10), (-0.14, 0.14), (0.018, 0.02), DARK),
        hull([(-0.11, 0.17, 0.018), (-0.10, 0.17, 0.018), (-0.18, 0.17, 0.24), (-0.17, 0.17, 0.245)]),
        hull([(-0.099, 0.155, 0.03), (-0.169, 0.155, 0.235), (-0.11, 0.155, 0.03), (-0.17, 0.155, 0.23)], GLASS),
    ]


def vase() -> list[Part]:
    """No front."""
    body = [(0.0, 0.0), (0.06, 0.0), (0.10, 0.08), (0.10, 0.14), (0.045, 0.24)]
    return [lathe([*body, (0.06, 0.30), (0.05, 0.30), (0.03, 0.24), (0.0, 0.22)])]


def monitor() -> list[Part]:
    """A screen for a desk that looks to +x."""
    return [
        block((-0.05, 0.0), (-0.30, 0.30), (0.12, 0.48)),
        block((0.0, 0.008), (-0.285, 0.285), (0.14, 0.465), GLASS),
        block((-0.04, -0.01), (-0.04, 0.04), (0.02, 0.12), STEEL),
        block((-0.11, 0.09), (-0.13, 0.13), (0.0, 0.02), STEEL),
    ]
