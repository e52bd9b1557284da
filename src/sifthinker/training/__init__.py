"""Training: SFT warm-up and GRPO-SIF on TRL. Nothing is imported here, so that `list` and `check` stay light."""
