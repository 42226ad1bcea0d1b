"""The names in a run folder, for what reads one and does without torch."""

#: Of a run, and of a checkpoint.
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
#: Only a checkpoint has these two.
WEIGHTS_FILE = "model.safetensors"
EVALUATION_FILE = "evaluation.json"
BEST, LAST = "best", "last"
