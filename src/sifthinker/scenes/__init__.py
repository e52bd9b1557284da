"""Generated 3D scenes: exact pictures, depth, masks and boxes, and questions whose answers are computed, not guessed.

    model       Scene, SceneObject, Room, Light, Camera: frozen values, JSON round trip
    shapes      the unit mesh of each shape
    layout      random scenes: who stands where, seen from where
    render      scene + camera -> View: RGB, metric depth, instance masks, boxes, visible fractions
    tasks       TASKS: question families, their rules and margins
    gold        question -> gold trace
    generate    seeded stream of (Sample, gold Trace)

Needs `pip install 'sifthinker[scenes]'` (trimesh, embreex).
"""
