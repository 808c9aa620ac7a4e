"""Which harmless samples stand for which published vulnerability; docs/known-vulnerabilities.md tells of each."""

from typing import Final

# By names of `SAMPLES` (tests/hostile_models.py) and `HOSTILE` (tests/hostile_files.py).
VULNERABILITIES: Final[dict[str, tuple[str, ...]]] = {
    "CVE-2024-3660": ("lambda",),
    "CVE-2024-55459": ("get-file",),
    "CVE-2025-1550": ("any-module",),
    "CVE-2025-8747": ("get-file-in-arguments",),
    # Each sample of a configuration is tried in an HDF5 file as well.
    "CVE-2025-9905": ("lambda",),
    "CVE-2025-9906": ("unsafe-deserialization",),
    "CVE-2025-12058": ("vocabulary", "vocabulary-file"),
    "CVE-2025-12060": ("extract",),
    "CVE-2025-12638": ("extract-as-initializer",),
    "CVE-2025-49655": ("torch-module",),
    "CVE-2026-0897": ("shape-of-100-gigabytes",),
    "CVE-2026-1462": ("tfsm-layer", "tfsm-as-function"),
    "CVE-2026-1669": ("external-storage", "external-storage-in-hdf5"),
    "CVE-2026-9335": ("external-link", "external-link-of-a-group", "external-link-in-hdf5", "soft-link"),
    "CVE-2026-11816": ("extract", "absolute-path", "path-leading-out"),
    "CVE-2026-12479": ("name-leading-out",),
    "CVE-2026-12480": ("virtual-dataset", "virtual-dataset-in-hdf5"),
    "CVE-2026-12481": ("lambda-in-wrapper",),
    "CVE-2026-12482": ("extract", "link-as-member", "link-as-configuration"),
    "CVE-2026-12484": ("torch-module",),
    "CVE-2026-12570": ("shape-of-100-gigabytes",),
    "CVE-2026-2492": ("plug-in",),
    "CVE-2025-2308": ("scale-offset",),
    "CVE-2025-44905": ("scale-offset",),
    "CVE-2026-17574": ("crash",),
    # Further faults of HDF5 1.14.6 in damaged files: two stand for all.
    **dict.fromkeys(
        (
            *("CVE-2025-2153", "CVE-2025-2309", "CVE-2025-2310", "CVE-2025-2912", "CVE-2025-2913", "CVE-2025-2914"),
            *("CVE-2025-2915", "CVE-2025-2923", "CVE-2025-2924", "CVE-2025-2925", "CVE-2025-2926", "CVE-2025-6269"),
            *("CVE-2025-6270", "CVE-2025-6516", "CVE-2025-6750", "CVE-2025-6816", "CVE-2025-6817", "CVE-2025-6818"),
            *("CVE-2025-6856", "CVE-2025-6857", "CVE-2025-6858", "CVE-2025-7067", "CVE-2025-7068", "CVE-2025-7069"),
            *("CVE-2025-9274", "CVE-2025-44904", "CVE-2026-17572", "CVE-2026-19024", "CVE-2026-19025"),
            *("CVE-2026-26197", "CVE-2026-120756"),
        ),
        ("crash", "endless"),
    ),
}
