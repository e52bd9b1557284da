"""Score replies of any model against gold boxes, depth and answer. No torch needed.

python examples/score_replies.py
"""

import numpy as np
from PIL import Image

import sifthinker as sif

photo = Image.new("RGB", (100, 100), "white")
depth = sif.DepthMap(np.tile(np.linspace(0, 1, 100, dtype=np.float32)[:, None], (1, 100)))
sample = sif.Sample(
    id="example", image=photo, depth=depth, question="What color is the cube?", answer="red",
    boxes=(sif.Box(0.2, 0.4, 0.4, 0.6),),
)  # fmt: skip

REPLY = """<think>
<area>[{"bbox_2d":[0.000,0.000,1.000,1.000],"depth":0.500}]</area>
<text>I look for the cube.</text>
<area>[{"bbox_2d":[0.200,0.400,0.400,0.600],"depth":0.495}]</area>
<text>The cube is red.</text>
</think>
<answer>red</answer>"""

for name, reply in {
    "good": REPLY,
    "cut off": REPLY[:-12],
    "wrong box": REPLY.replace("0.200,0.400", "0.300,0.500"),
}.items():
    trace = sif.parse_trace(reply)
    earned = {key: reward(trace, sample) for key, reward in sif.REWARDS.items()}
    print(name, earned, [fault.message for fault in trace.faults])
