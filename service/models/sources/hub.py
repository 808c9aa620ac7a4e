"""Presets of KerasHub on the Hugging Face hub, fetched when they are first asked for, and kept."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from service.errors import ModelFailedError, WeightsUnavailableError
from service.preset_files import BACKBONE, NAMES, SHARDS, WEIGHTS, is_preset

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

PREFIX: Final = "hf://"
# Beside the weights there are a few configurations.
_SPARE_BYTES: Final = 2**26


class HubPresets:
    """Kept in `folder`, as huggingface_hub keeps them; one of more than `max_bytes` is not fetched.

    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to huggingface_hub.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes + _SPARE_BYTES
        self._lock = Lock()

    def get(self, preset: str) -> Path:
        """The folder of `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION`.

        Raises WeightsUnavailableError where another time may be better, ModelFailedError otherwise.
        """
        try:
            # Not at the top: it is an extra, and takes a while.
            import huggingface_hub as hub
            from huggingface_hub import errors
            from huggingface_hub.utils.tqdm import disable_progress_bars
        except ImportError as error:
            raise ModelFailedError(f"'{preset}' needs huggingface_hub: install convscope[keras-hub]") from error
        disable_progress_bars()
        repository, _, revision = preset.removeprefix(PREFIX).partition("@")
        fetch: Callable[..., Any] = partial(
            hub.snapshot_download,
            repository,
            revision=revision or None,
            cache_dir=self._folder,
            allow_patterns=[*NAMES, SHARDS],
        )
        try:
            with self._lock:
                self._require_modest(preset, hub.model_info(repository, revision=revision or None, files_metadata=True))
                place = Path(fetch())
        except ModelFailedError:
            raise
        except (
            errors.GatedRepoError,
            errors.HFValidationError,
            errors.RepositoryNotFoundError,
            errors.RevisionNotFoundError,
        ) as error:
            raise ModelFailedError(
                f"'{preset}' is not on the hub, or not for everybody (set HF_TOKEN): {_first_line(error)}"
            ) from error
        except Exception as error:
            # What was fetched before is as good.
            with suppress(errors.LocalEntryNotFoundError, OSError):
                return Path(fetch(local_files_only=True))
            raise WeightsUnavailableError(
                f"'{preset}' cannot be fetched ({type(error).__name__}: {_first_line(error)}): ask again later, or put "
                f"its files ({BACKBONE}, {WEIGHTS}, …) into a folder of the model, such as 1"
            ) from error
        if not is_preset(place):
            raise ModelFailedError(f"'{preset}' is no preset of KerasHub with {BACKBONE} and {WEIGHTS} in one piece")
        return place

    def _require_modest(self, preset: str, listed: "ModelInfo") -> None:
        size = sum(file.size or 0 for file in listed.siblings or () if file.rfilename in NAMES)
        if size > self._max_bytes:
            raise ModelFailedError(
                f"'{preset}' has {size} bytes; at most {self._max_bytes} are fetched "
                "(CONVSCOPE_LIMITS__MODEL_WEIGHT_BYTES)"
            )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
