"""Flat worlds: pictures that are drawn, not rendered, and have no depth. One file a kind of world.

Each is a small frozen value (points, a map of cells, solids of cubes, a folded sheet, shapes on land) that draws itself
with Pillow. Questions about them are in `scenes.tasks`.
"""
