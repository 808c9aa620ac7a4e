"""What a model file, a picture and a job may take, by the settings."""

from service.engine.chunks import JobLimits
from service.engine.images.decoding import ImageLimits
from service.jobs.store.bounds import OwnerLimits
from service.jobs.submission import JobRules
from service.keras.cell.file_access import can_bound_files
from service.keras.cell.limits import CellLimits
from service.keras.cell.system_calls import can_filter_calls
from service.keras.compute.tuning import Tuning
from service.keras.files.admission.limits import ModelFileLimits
from service.models.memory import measure_memory
from service.settings import Settings


def model_file_limits(settings: Settings) -> ModelFileLimits:
    limits = settings.limits
    return ModelFileLimits(
        config_bytes=limits.model_config_bytes,
        config_entries=limits.model_config_entries,
        layers=limits.model_layers,
        build_calls=limits.model_build_calls,
        name_length=limits.model_name_length,
        expansion=limits.model_expansion,
        weight_bytes=limits.model_weight_bytes,
        input_numbers=limits.model_input_numbers,
        operations=limits.model_operations,
        tensor_bytes=limits.model_tensor_bytes,
        trusted_packages=settings.trusted_packages,
    )


def cell_limits(settings: Settings) -> CellLimits:
    limits = settings.limits
    return CellLimits(limits.cell_memory_bytes, limits.cell_processor_seconds, limits.cell_seconds)


def cell_bounds(settings: Settings) -> dict[str, str]:
    """What the system lets the process that reads a model file give up; "unused" where the service reads them."""
    if not settings.models_cells:
        return {"cell_network": "unused", "cell_files": "unused"}
    return {
        "cell_network": "closed" if can_filter_calls() else "open",
        "cell_files": "bounded" if can_bound_files() else "open",
    }


def image_limits(settings: Settings) -> ImageLimits:
    return ImageLimits(settings.limits.max_image_bytes, settings.limits.max_image_pixels)


def job_limits(settings: Settings) -> JobLimits:
    limits = settings.limits
    return JobLimits(limits.job_items, limits.job_steps, limits.job_size, limits.ascent_bytes)


def job_rules(settings: Settings) -> JobRules:
    return JobRules(image_limits(settings), job_limits(settings), settings.gpu_models)


def owner_limits(settings: Settings) -> OwnerLimits:
    limits = settings.limits
    return OwnerLimits(limits.owner_queued_jobs, limits.owner_job_items, limits.owner_stored_bytes)


def model_bytes(settings: Settings) -> int:
    """By default this process's share of half the memory: the service has one, and each process of jobs."""
    processes = 1 + (settings.worker.concurrency if settings.redis_url else 1)
    return settings.limits.model_bytes or measure_memory() // 2 // processes


def tuning_of(settings: Settings) -> Tuning:
    limits = settings.limits
    # Of one model, so that others find room beside it. A quarter of the kernels may be in one graph, eight times.
    max_held_bytes = model_bytes(settings) // 2
    return Tuning(
        limits.traces_per_model,
        min(limits.kernel_bytes, max_held_bytes // 2),
        max_held_bytes=max_held_bytes,
        fold=settings.folding,
        pass_bytes=limits.pass_bytes,
    )
