"""Models and processors from folders and hub ids: the one place that loads them, for inference and for training.

Stock processors of the Qwen-VL families cannot be loaded without torchvision (they insist on their video part), so
these families get `ImageOnlyQwenProcessor`: the same tokens and pixels, without video. Wrong paths, models without
image input and adapters without their base end in an `InputError` of one line.

transformers is imported when something is loaded, not before; `ImageOnlyQwenProcessor` is made at its first use.
Training and generation are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..hub import check_name, is_hub_id
from ..models import located
from ..prompt import DEFAULT_MAX_PIXELS, FAMILIES, family_of

if TYPE_CHECKING:
    from transformers.configuration_utils import PreTrainedConfig
    from transformers.modeling_utils import PreTrainedModel
    from transformers.processing_utils import ProcessorMixin

QWEN_TYPES = tuple(t for name in ("qwen2-vl", "qwen2.5-vl", "qwen3-vl") for t in FAMILIES[name].model_types)
"""The `model_type`s that `ImageOnlyQwenProcessor` serves."""

OUR_CLASS = "ImageOnlyQwenProcessor"
OUR_MARK = {"saved_by": "sifthinker"}
PROCESSOR_CLASSES = ("Qwen2VLProcessor", "Qwen2_5_VLProcessor", "Qwen3VLProcessor")
PICTURES = ("patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std")
"""What the stock video processors share with those of images."""


def __getattr__(name: str) -> Any:
    if name == OUR_CLASS:
        return _image_only_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _image_only_class() -> type:
    """The class `ImageOnlyQwenProcessor`, made and registered with AutoProcessor."""
    from transformers import AutoProcessor, Qwen2_5_VLProcessor
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.processing_utils import ProcessorMixin

    class ImageOnlyQwenProcessor(Qwen2_5_VLProcessor):
        """Processor of Qwen2-VL, Qwen2.5-VL and Qwen3-VL for text and images.

        transformers takes the parts of a processor from the signature of `__init__`: without `video_processor`
        there, none is looked for, and saved folders of the stock processors load as well.
        """

        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any):
            self.image_token = getattr(tokenizer, "image_token", None) or "<|image_pad|>"
            self.video_token = getattr(tokenizer, "video_token", None) or "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

        def to_dict(self) -> dict[str, Any]:
            """As the stock processor of the model's type is saved, so that `AutoProcessor` makes that, or this class.

            It takes the class by the type of the model where no file names one, and it needs a video processor.
            """
            content = super().to_dict()
            del content["processor_class"]
            images = content["image_processor"]
            return content | OUR_MARK | {"video_processor": {key: images[key] for key in PICTURES if key in images}}

        def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> Any:
            """The same, without the name of this class in the tokenizer's file."""
            tokenizer: Any = self.tokenizer
            tokenizer._processor_class = None
            tokenizer._set_processor_class = lambda name: None  # on this one, hides the method that would put it there
            try:
                return super().save_pretrained(save_directory, push_to_hub, **kwargs)
            finally:
                del tokenizer._set_processor_class

    # As if it stood at the top of this module: pickling (worker processes) looks it up there.
    ImageOnlyQwenProcessor.__module__ = __name__
    ImageOnlyQwenProcessor.__qualname__ = OUR_CLASS
    for model_type in QWEN_TYPES:
        AutoProcessor.register(CONFIG_MAPPING[model_type], ImageOnlyQwenProcessor, exist_ok=True)
    return ImageOnlyQwenProcessor


# --- processors ----------------------------------------------------------------------------------------------------


def load_processor(path: str | Path, max_pixels: int | None = None) -> ProcessorMixin:
    """The processor of a model folder, adapter folder, hub id or model of this package, with padding on the left.

    max_pixels: pixels of one picture at most. None: what a folder of this package says, at most `DEFAULT_MAX_PIXELS`
    for others. Pictures that `prompt.model_images` has brought to the model's grid within that budget pass unchanged.

    Raises `InputError` when there is no such model or it takes no images.
    """
    path = located(path)
    check_name(path, "a processor (tokenizer and image processor)")
    from transformers import AutoProcessor
    from transformers.processing_utils import ProcessorMixin

    adapter = adapter_config(path)
    source = path if adapter is None or _has_processor(path) else base_of(path, adapter)
    model_type = None if _is_processor_only(path) else model_config(path).model_type
    qwen = model_type in QWEN_TYPES or (model_type is None and _is_qwen(path))
    with one_line(source, "a processor (tokenizer and image processor)"):
        processor = (_image_only_class() if qwen else AutoProcessor).from_pretrained(str(source))
    if not isinstance(processor, ProcessorMixin) or getattr(processor, "image_processor", None) is None:
        raise InputError(f"{source}: has a tokenizer but no image processor; need a vision-language model")
    if qwen:
        _set_budget(processor, max_pixels or (None if _is_ours(source) else DEFAULT_MAX_PIXELS))
    processor.tokenizer.padding_side = "left"
    return processor


def pixel_grid(processor: ProcessorMixin) -> int | None:
    """Image sides that are multiples of this pass unchanged; None when the processor does not say."""
    image_processor: Any = processor.image_processor
    patch, merge = getattr(image_processor, "patch_size", None), getattr(image_processor, "merge_size", None)
    return patch * merge if isinstance(patch, int) and isinstance(merge, int) else None


def pixel_budget(processor: ProcessorMixin) -> int | None:
    """The largest number of pixels the processor lets pass; None when its budget is not a number of pixels."""
    size = getattr(processor.image_processor, "size", None) or {}
    return size["longest_edge"] if pixel_grid(processor) and "longest_edge" in size else None


def vision_ids(processor: ProcessorMixin, config: PreTrainedConfig) -> list[int]:
    """Ids that must never be sampled: a picture's placeholder in a reply breaks whoever reads it back.

    config: of the model; families name some of their tokens in it.
    """
    vocabulary = processor.tokenizer.get_vocab()  # type: ignore[attr-defined]
    tokens = family_of(config.model_type).vision_tokens
    ids = {vocabulary[token] for token in tokens if token in vocabulary}
    ids |= {i for n in ("image_token_id", "video_token_id") if isinstance(i := getattr(config, n, None), int)}
    return sorted(ids)


def _set_budget(processor: ProcessorMixin, max_pixels: int | None) -> None:
    """Hold the budget on the instance: limits given at call time reach the tokens but not the pixels."""
    image_processor: Any = processor.image_processor
    grid = pixel_grid(processor) or 1
    longest = max_pixels or int(image_processor.size["longest_edge"])
    image_processor.size = type(image_processor.size)(shortest_edge=grid * grid, longest_edge=longest)


def _has_processor(path: str | Path) -> bool:
    return any((Path(path) / name).exists() for name in ("processor_config.json", "preprocessor_config.json"))


def _is_processor_only(path: str | Path) -> bool:
    return _has_processor(path) and not any(
        (Path(path) / name).exists() for name in ("config.json", "adapter_config.json")
    )


def _is_qwen(path: str | Path) -> bool:
    return _is_ours(path) or any(saved.get("processor_class") in PROCESSOR_CLASSES for saved in _saved(path))


def _is_ours(path: str | Path) -> bool:
    return any(OUR_MARK.items() <= saved.items() for saved in _saved(path))


def _saved(path: str | Path) -> Iterator[dict[str, Any]]:
    """What the files of a processor in a folder hold."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (file := Path(path) / name).exists():
            yield _read_json(file)


# --- models --------------------------------------------------------------------------------------------------------


def model_config(path: str | Path) -> PreTrainedConfig:
    """The config of a model (of the base model for an adapter folder).

    Raises `InputError` when there is no such model or it takes no images.
    """
    path = located(path)
    check_name(path, "a model")
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    if (adapter := adapter_config(path)) is not None:
        return model_config(base_of(path, adapter))
    with one_line(path, "a model"):
        config = AutoConfig.from_pretrained(str(path))
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise InputError(
            f"{path}: a {config.model_type!r} model takes no images; need a vision-language model, "
            "for example Qwen/Qwen2.5-VL-7B-Instruct"
        )
    return config


def load_model(path: str | Path, dtype: Any = None, trainable: bool = False, **options: Any) -> PreTrainedModel:
    """The model of a folder, hub id or name in `models`; for an adapter folder (PEFT), its base with the adapter on it.

    dtype: a torch dtype or its name; None for the one it was saved in. trainable: leave the adapter open for training.
    options: passed to `from_pretrained`.
    Raises `InputError` when there is no such model, it takes no images, or the adapter's base is missing.
    """
    path = located(path)
    check_name(path, "a model")
    from transformers import AutoModelForImageTextToText

    adapter = adapter_config(path)
    source = path if adapter is None else base_of(path, adapter)
    model_config(source)
    with one_line(source, "a model"):
        model = AutoModelForImageTextToText.from_pretrained(str(source), dtype=dtype or "auto", **options)
    if adapter is None:
        return model
    try:
        from peft import PeftModel
    except ImportError as error:
        raise InputError(f"{path}: an adapter needs PEFT: pip install 'sifthinker[train]'") from error
    with one_line(path, "an adapter"):
        return PeftModel.from_pretrained(model, str(path), is_trainable=trainable)  # type: ignore[return-value]


def adapter_config(path: str | Path) -> dict[str, Any] | None:
    """The content of `adapter_config.json` of a PEFT folder; None when `path` is not one."""
    file = Path(path) / "adapter_config.json"
    return _read_json(file) if file.exists() else None


def base_of(path: str | Path, adapter: dict[str, Any]) -> str:
    """The base model of an adapter folder: a hub id, or a folder given absolutely or beside the adapter."""
    base = adapter.get("base_model_name_or_path")
    if not base:
        raise InputError(f"{path}: adapter_config.json names no base model (base_model_name_or_path)")
    for candidate in (Path(base), Path(path) / base, Path(path).parent / base):
        if candidate.is_dir():
            return str(candidate)
    if (shipped := located(base)) != base:
        return str(shipped)
    if not is_hub_id(base):
        raise InputError(
            f"{path}: the adapter's base model {base!r} is not here; "
            "put it there, or correct base_model_name_or_path in adapter_config.json"
        )
    return base


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object")
    return content


@contextmanager
def one_line(path: str | Path, what: str) -> Iterator[None]:
    """Turn what transformers and the hub raise for a bad path into an `InputError` of one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if Path(path).is_dir():
            raise InputError(f"{path}: cannot be loaded as {what} ({reason})") from error
        raise InputError(
            f"{path}: no such folder here, and the hub does not give {what} of that name ({reason}); "
            "check the name and the network, or give a folder"
        ) from error
