"""Random models of a few thousand parameters, saved in the shape of the hub's folders, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SPECIAL = [
    "<|pad|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for block in message['content'] %}"
    "{% if block['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif block['type'] == 'text' %}{{ block['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCH = {"qwen2_vl": 14, "qwen2_5_vl": 14, "qwen3_vl": 16}
SIZE = {"shortest_edge": 28 * 28, "longest_edge": 112 * 112}


def tiny_tokenizer() -> Any:
    """A byte-level tokenizer: every byte is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(SPECIAL + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        extra_special_tokens={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
    )


def save_tiny_qwen(folder: str | Path, model_type: str = "qwen2_5_vl", stock: bool = False, seed: int = 0) -> Path:
    """A random model of one of the Qwen-VL families with its processor.

    stock: lay out the processor's files as on the hub (preprocessor_config.json, the stock processor's class name)
    rather than as this package saves them.
    """
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from sifthinker.engines.processor import ImageOnlyQwenProcessor

    folder = Path(folder)
    tokenizer = tiny_tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    special = {
        "bos_token_id": ids["<|im_start|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|pad|>"],
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        **special,
    }
    vision: dict[str, Any] = {"depth": 1, "num_heads": 2, "patch_size": PATCH[model_type]}
    if model_type == "qwen2_vl":
        vision |= {"embed_dim": 16, "hidden_size": 16, "mlp_ratio": 1}
    else:
        vision |= {"hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 16}
    if model_type == "qwen2_5_vl":
        vision |= {"fullatt_block_indexes": [0], "window_size": 56}
    if model_type == "qwen3_vl":
        text["head_dim"] = 16
        text["rope_parameters"]["mrope_interleaved"] = True
        text.pop("bos_token_id")
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    config = CONFIG_MAPPING[model_type](
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            # The default (0.02) leaves so small a model nearly blind to its input.
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|pad|>"]
    model.save_pretrained(folder)
    image_processor = Qwen2VLImageProcessorPil(patch_size=PATCH[model_type], merge_size=2, size=dict(SIZE))
    processor = ImageOnlyQwenProcessor(image_processor, tokenizer, chat_template=CHAT_TEMPLATE)
    processor.save_pretrained(folder)
    if stock:
        _as_on_the_hub(folder, model_type, image_processor)
    return folder


def _as_on_the_hub(folder: Path, model_type: str, image_processor: Any) -> None:
    import json

    (folder / "processor_config.json").unlink()
    content = json.loads(image_processor.to_json_string())
    content.pop("size", None)
    content["min_pixels"], content["max_pixels"] = 3136, 12845056
    content["image_processor_type"] = "Qwen2VLImageProcessor"
    content["processor_class"] = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}.get(
        model_type, "Qwen3VLProcessor"
    )
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def save_tiny_depth(folder: str | Path, metric: bool = False) -> Path:
    """A random Depth Anything model with its image processor."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=56,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type="metric" if metric else "relative",
        max_depth=20 if metric else 1,
    )
    torch.manual_seed(0)
    model = DepthAnythingForDepthEstimation(config)
    # The last layers of a random model may be dead (ReLU): keep them above zero.
    torch.nn.init.constant_(model.head.conv3.bias, 1.0)
    model.save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14, do_pad=False
    ).save_pretrained(folder)
    return Path(folder)
