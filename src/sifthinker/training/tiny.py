"""A small model with the Qwen2.5-VL architecture and a tokenizer of its own, saved as an ordinary model folder.

It exists so that every command runs through the real code paths on a laptop. It is loaded, trained, served and
evaluated exactly like Qwen2.5-VL; nothing in the package treats it specially. It knows generated scenes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..geometry import Frame
from ..prompt import DEPTH_LABEL, PHOTO_LABEL, instruction
from ..records import read_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

READ = 5000
"""Rows of a data set that a tokenizer learns its words from."""

MLP = 2
"""Width of the gated layers, in widths of the model. Their gates take a CPU as long as their products."""

SPECIAL = (
    "<|pad|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip

SCAFFOLD = (
    "<think>\n", "</think>\n", "<area>[", "]</area>\n", "}]</area>\n", "<text>", "</text>\n", "<answer>", "</answer>",
    '{"bbox_2d":[0.000,0.000,1.000,1.000],"depth":0.', '{"bbox_2d":[0.', ",0.", '],"depth":0.',
    '{"bbox_2d":[', '],"depth":', "}", "},", "0.", "1.", "user\n", "assistant\n",
)  # fmt: skip
"""Pieces of chats and traces that are one token each. They are plain text, not special tokens: decoding keeps them."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for block in message['content'] %}"
    "{% if block['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ block['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class TinyConfig:
    """Sizes of the small model."""

    width: int = 128
    """Hidden size of the language model, a multiple of head_size."""
    layers: int = 4
    """Of the language model."""
    head_size: int = 16
    """Size of an attention head, a multiple of 16."""
    vision_width: int = 128
    """Hidden size of the vision tower, a multiple of head_size."""
    vision_layers: int = 3
    """Of the vision tower."""
    patch: int = 8
    """Patch side in pixels; two by two patches make one visual token."""
    vocabulary: int = 768
    """Tokens of words and bytes at most; those of `SCAFFOLD` and of the prompt come on top."""
    seed: int = 0
    """Of the random weights."""


def build_tokenizer(corpus: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: whole tokens for tags, the prompt's fixed wording and frequent
    words; single digits; bytes for the rest."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}|\s|[^\s\p{L}\p{N}]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fixed = [instruction(with_depth, Frame.UNIT_XYXY) for with_depth in (True, False)]
    phrases = [*fixed, PHOTO_LABEL, DEPTH_LABEL, *SCAFFOLD]
    tokenizer.add_tokens([AddedToken(p, normalized=False, special=False) for p in phrases])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
        },
    )


def build_tiny(folder: str | Path, corpus: Iterable[str], config: TinyConfig | None = None) -> Path:
    """Make a small model with scaled random weights and save it, with its processor, to `folder`.

    corpus: texts from which the tokenizer learns its words: questions, traces, answers.
    """
    config = config or TinyConfig()
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from ..engines.processor import ImageOnlyQwenProcessor

    tokenizer = build_tokenizer(corpus, config.vocabulary)
    cell = config.patch * 2
    images = Qwen2VLImageProcessorPil(
        patch_size=config.patch,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": cell * cell, "longest_edge": cell * cell * 4096},
    )
    processor = ImageOnlyQwenProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE)
    torch.manual_seed(config.seed)
    model = Qwen2_5_VLForConditionalGeneration(qwen_config(config, tokenizer))
    scale_weights(model)
    folder = Path(folder)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_blank(folder: Path, data: Sequence[Path], config: TinyConfig) -> str:
    """Make an untrained model whose tokenizer knows the words of data sets; says how large it is.

    Raises `InputError` for a folder that holds something, sizes that do not fit each other, and data that is none.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something: give another --out")
    for name in ("width", "vision_width"):
        if (size := getattr(config, name)) % config.head_size or config.head_size % 16:
            raise InputError(
                f"{name} {size}, head size {config.head_size}: the first is a multiple of the second, that one of 16"
            )
    build_tiny(folder, texts(*data), config)
    from safetensors.numpy import load_file

    count = sum(weights.size for weights in load_file(folder / "model.safetensors").values())
    return f"{folder}: {count / 1e6:.1f} million parameters"


def texts(*folders: Path) -> Iterator[str]:
    """Questions, answers and traces of the first `READ` rows of each data set, from which a tokenizer learns words."""
    for folder in folders:
        for row in islice(read_rows(folder), READ):
            yield row["question"]
            yield row["answer"]
            yield from (message["content"] for message in row["completion"])


def scale_weights(model: Any) -> None:
    """Initialize by fan-in: weights std 1/sqrt(fan-in), embeddings std 0.5.

    At transformers' default (std 0.02 everywhere) a model of width 128 stays at chance on colors and shapes;
    with these scales it reads them after some 200 steps.
    """
    import torch

    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        if "embed_tokens" in name:
            torch.nn.init.normal_(parameter, std=0.5)
        else:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)


def qwen_config(config: TinyConfig, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The config of a model of these sizes with the words of a tokenizer: a `Qwen2_5_VLConfig`."""
    from transformers import Qwen2_5_VLConfig

    def token(name: str) -> int:
        found = tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        assert isinstance(found, int)
        return found

    half = config.head_size // 2
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.width,
        "intermediate_size": MLP * config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.width // config.head_size,
        "num_key_value_heads": config.width // config.head_size,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "pad_token_id": token("pad"),
        "eos_token_id": token("im_end"),
        "bos_token_id": None,
        "rope_parameters": {
            "rope_type": "default",
            # Pictures are some visual tokens wide and traces some hundred tokens long: at the usual 1e4 columns are
            # told apart after twice as many scenes.
            "rope_theta": 100.0,
            # Photos need no turns for time. Rows get the fastest ones and columns the rest, which begins where columns
            # still differ; with Qwen's equal shares columns turn so little that x is learned long after y.
            "mrope_section": [0, half // 4, half - half // 4],
        },
    }
    vision = {
        "depth": config.vision_layers,
        "hidden_size": config.vision_width,
        "intermediate_size": MLP * config.vision_width,
        "num_heads": config.vision_width // config.head_size,
        "patch_size": config.patch,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": config.width,
        # Every block sees the whole picture; windows pay only for pictures of many patches.
        "fullatt_block_indexes": list(range(config.vision_layers)),
        "window_size": config.patch * 14,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token("image_pad"),
        video_token_id=token("video_pad"),
        vision_start_token_id=token("vision_start"),
        vision_end_token_id=token("vision_end"),
        tie_word_embeddings=False,
    )
