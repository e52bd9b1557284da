"""From annotated photos to a SIF data set: sources -> expand -> annotate -> screen -> build.

`build.build` is the pipeline as one function; `build.build_scenes` writes generated scenes the same way.
"""
