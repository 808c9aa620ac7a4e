"""Rules for layers that compute with weights or windows: what becomes of the axes of what goes in."""

from service.keras.graph.axes.axes import Axes, Axis, Name, axis, meet, name_of
from service.keras.graph.axes.steps import Step, channels_of, leave_unknown, space_of


def convolve(step: Step) -> Axes:
    """New channels from all that lies on the channels' axis; along its space a layer's own order goes on."""
    made = _along_space(step, fresh=True)
    made[channels_of(step.operation, len(made))] = axis("c")
    return tuple(made)


def convolve_each(step: Step) -> Axes:
    made = _along_space(step, fresh=True)
    place = channels_of(step.operation, len(made))
    if step.shapes[0][place] != step.made[0][place] and name_of(made[place]) != "c":
        made[place] = axis("?")
    return tuple(made)


def sample(step: Step) -> Axes:
    """Fewer, more or other places of the same maps."""
    return tuple(_along_space(step, fresh=False))


def _along_space(step: Step, *, fresh: bool) -> list[Axis]:
    made = list(step.given[0])
    space = space_of(step.operation, len(made))
    names: list[Name] = ["y", "x"] if len(space) == 2 else ["?"] * len(space)
    for place, own in zip(space, names, strict=True):
        grows = step.made[0][place] != 1
        known = name_of(made[place])
        if known in "hwyx" or (known == "*" and not grows):
            continue
        if step.shapes[0][place] == step.made[0][place] and known == "?":
            # Row after row, or nobody knows what: the layer's own rows, if it has some.
            made[place] = made[place] if len(space) == 1 else axis(own if fresh else "?")
        elif known == "*":
            made[place] = axis(own if "Transpose" in step.kind else "*")
        else:
            made[place] = axis(own if fresh and known == "?" else "?")
    return made


def extract_patches(step: Step) -> Axes | list[Axes]:
    if len(getattr(step.operation, "size", ())) != 2:
        return leave_unknown(step)
    made = _along_space(step, fresh=False)
    made[channels_of(step.operation, len(made))] = axis("c")
    return tuple(made)


def pool_all(step: Step) -> Axes:
    axes = step.given[0]
    space = space_of(step.operation, len(axes))
    if step.operation.keepdims:
        return tuple(() if place in space else one for place, one in enumerate(axes))
    return tuple(one for place, one in enumerate(axes) if place not in space)


def dense(step: Step) -> Axes:
    return (*step.given[0][:-1], axis("c"))


def einsum(step: Step) -> Axes | list[Axes]:
    equation = getattr(step.operation, "equation", None) or step.operation.subscripts
    sides, _, out = equation.replace(" ", "").partition("->")
    known: dict[str, Axis] = {}
    for letters, axes in zip(sides.split(","), step.given, strict=False):
        if "." in equation or len(letters) != len(axes):
            return leave_unknown(step)
        known = dict(zip(letters, axes, strict=True)) | known
    if not out or not known:
        return leave_unknown(step)
    return tuple(known.get(letter, axis("c")) for letter in out)


def multiply_matrices(step: Step) -> Axes | list[Axes]:
    if len(step.given) < 2 or len(step.given[0]) != len(step.given[1]) or len(step.given[0]) < 3:
        # With weights: the last axis is a weighted sum of the last.
        return dense(step) if len(step.given) == 1 and len(step.made[0]) == len(step.given[0]) else leave_unknown(step)
    first, second = step.given[:2]
    batch = [meet(one, other) for one, other in zip(first[:-2], second[:-2], strict=True)]
    return (*batch, first[-2], second[-1])


def recur(step: Step) -> list[Axes]:
    """The last answer, or one for each step, in order; then states."""
    layer = getattr(step.operation, "forward_layer", step.operation)
    axes = step.given[0]
    steps = axis("?") if getattr(layer, "go_backwards", False) and layer is step.operation else axes[1]
    units = axis("c")
    return [(axes[0], steps, units) if len(shape) == 3 else (axes[0], units) for shape in step.made]


def attend(step: Step) -> list[Axes]:
    """For each query an answer in new channels; then the scores."""
    axes = step.given[0]
    answers: Axes = (*axes[:-1], axis("c"))
    return [answers if at == 0 else leave_unknown(step)[at] for at in range(len(step.made))]


def embed(step: Step) -> Axes:
    return (*step.given[0], axis("c"))
