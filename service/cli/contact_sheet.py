"""The contact sheet: one HTML page over the pictures of a command, plain, self-contained, light and dark."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from schemas.results import Result, ResultImage
from service.cli.gate import describe_pair

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  background: light-dark(#fff, #16181c); color: light-dark(#1b1d21, #e6e6e6); }
h1 { font-size: 1.5rem; margin: 0; }
header p, figcaption, footer { color: light-dark(#5a5f66, #a3a8b0); }
section { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1rem; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.facts { margin: .25rem 0 .75rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; }
img { display: block; max-width: 100%; max-height: 24rem; width: auto; height: auto; min-width: 6rem;
  background: var(--line); }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
.problem { color: light-dark(#a11, #f99); }
code { font-size: .9em; }
"""

# So many folders are named in a sentence.
_NAMED = 3


@dataclass(frozen=True)
class Entry:
    """One result: where its picture came from (None for a method without), and the file of each of its images."""

    source: str | None
    result: Result
    files: tuple[str, ...]


@dataclass(frozen=True)
class Skipped:
    """A picture without a result, and why."""

    source: str
    code: str
    detail: str


def render_sheet(title: str, entries: Iterable[Entry], skipped: Iterable[Skipped]) -> str:
    """The page. Every text in it is escaped: labels and file names are written by others."""
    sections = [_section(entry) for entry in entries]
    problems = [_problem(item) for item in skipped]
    count = f"{len(sections)} done" + (f", {len(problems)} failed" if problems else "")
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>{count}. The numbers are in "
        '<a href="results.jsonl">results.jsonl</a>.</p></header>\n'
        f"<main>\n{''.join(sections + problems)}</main>\n"
        "<footer><p>Made by convscope.</p></footer>\n</body></html>\n"
    )


def describe_predictions(result: Result, count: int = 3) -> str:
    """The best predictions in a line: `star 0.97, ring 0.02`."""
    return ", ".join(f"{best.label} {best.score:.2f}" for best in result.predictions[:count])


def describe_dataset(result: Result) -> str:
    """What the pictures of a dataset came to together, in a line."""
    values = result.values
    said = [f"{values['images']} pictures"]
    if values.get("accuracy") is not None:
        said.append(f"{values['accuracy']:.1%} of {values['with_ground_truth']} answers right")
    if unmatched := values.get("unmatched_labels"):
        said.append(
            f"folders that name no class: {', '.join(item['label'] for item in unmatched[:_NAMED])}"
            + (f" and {len(unmatched) - _NAMED} more" if len(unmatched) > _NAMED else "")
        )
    if found := values.get("object"):
        said.append(
            f"{found['energy']:.0%} of the heat in the object, which takes {found['area']:.0%} of the picture; "
            f"{found['pointing']:.0%} of the peaks in it"
        )
    return ", ".join(said)


def describe_versions(result: Result) -> str:
    """How alike each of the compared versions is to the next."""
    return ", ".join(map(describe_pair, result.values["neighbours"]))


def _section(entry: Entry) -> str:
    result = entry.result
    figures = "".join(_figure(image, file) for image, file in zip(result.images, entry.files, strict=True))
    return (
        f"<section><h2>{escape(entry.source or result.model)}</h2>\n"
        f'<p class="facts">{"<br>".join(_facts(result))}</p>\n<div class="pictures">{figures}</div></section>\n'
    )


def _facts(result: Result) -> list[str]:
    facts = []
    if result.predictions:
        facts.append(f"Predictions: {escape(describe_predictions(result, 5))}")
    if result.target is not None:
        target = result.target
        facts.append(f"Explained: <b>{escape(target.label)}</b> (class {target.index}, score {target.score:.2f})")
    if result.layer is not None:
        facts.append(f"Layer: <code>{escape(result.layer)}</code>")
    if "neighbours" in result.values:
        facts.append(f"Versions: {escape(describe_versions(result))}")
    elif result.provenance.images_sha256 is not None:
        facts.append(f"Set: {escape(describe_dataset(result))}")
    facts.append(f"Model: {escape(result.model)}, version {escape(result.version)}")
    return facts


def _figure(image: ResultImage, file: str) -> str:
    # Quoted and from `./`, so that no name can be read as a scheme, a query or a fragment.
    address = escape("./" + quote(file))
    layer = f" <code>{escape(image.layer)}</code>" if image.layer and image.layer != image.name else ""
    return (
        f'<figure><a href="{address}"><img src="{address}" alt="{escape(image.name)}" loading="lazy" '
        f'width="{image.width}" height="{image.height}"></a>'
        f"<figcaption>{escape(image.name)}{layer}</figcaption></figure>\n"
    )


def _problem(item: Skipped) -> str:
    return (
        f"<section><h2>{escape(item.source)}</h2>\n"
        f'<p class="problem">{escape(item.detail)} <code>{escape(item.code)}</code></p></section>\n'
    )
