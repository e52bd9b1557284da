"""Worlds that are known exactly: pictures, depth and boxes, and questions whose answers are computed, not guessed.

    model       Scene, SceneObject, Room, Light, Camera: frozen values, JSON round trip; mirror, turn and scale
    shapes      the unit mesh of each shape; compound ones are in parts, furniture, street
    layout      random scenes: who stands where, seen from where
    render      scene + camera -> View: RGB, metric depth, instance masks, boxes, visible fractions
    photoreal   the same by path tracing: photos only
    points      views -> point clouds
    patterns    where several cameras stand
    views       worlds of one or several views of a scene, and panoramas
    task        what a task is: World, Question, Task
    tasks/      TASKS: families of questions, their rules and margins, one file a system
    frames/     real RGB-D frames with 3D boxes, as worlds; what can be asked about them
    worlds      worlds read back from JSON
    gold        question -> gold trace
    generate    seeded stream of (Sample, gold Trace)

Needs `pip install 'sifthinker[scenes]'` (trimesh, embreex); photos need `sifthinker[photoreal]` (mitsuba).
"""
