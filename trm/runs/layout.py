"""The names of files and folders in a run and its checkpoints."""

#: In a run folder.
METRICS_FILE = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
BEST, LAST = "best", "last"
#: In a run folder, and in a checkpoint.
CONFIG_FILE = "config.json"
#: In a checkpoint.
WEIGHTS_FILE = "model.safetensors"
NAMES_FILE = "identifiers.npy"
EVALUATION_FILE = "evaluation.json"
CHECKSUMS_FILE = "SHA256SUMS"
STATE_FOLDER = "training_state"
PROGRESS_FILE = "progress.json"
