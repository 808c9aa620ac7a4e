"""Which units of a layer a method over a dataset means."""

from dataclasses import dataclass

from schemas.references import LayerReference
from service.engine.methods.channel_selection import default_layer, select
from service.engine.ports.probe import NetworkProbe
from service.errors import JobTooLargeError, UnitOutOfRangeError


@dataclass(frozen=True)
class UnitChoice:
    """A method takes the first `default` units where none are named, and never more than `most`."""

    default: int
    most: int

    def find(
        self, probe: NetworkProbe, layer: LayerReference | None, units: str | None
    ) -> tuple[str, list[int] | None]:
        """The layer's path, and the units as far as the graph tells how many there are.

        Raises LayerNotFoundError and what `choose` raises.
        """
        facts = probe.layer(layer or default_layer(probe.network_info))
        count = facts.output_shape[-1]
        return facts.path, None if count is None else self.choose(units, count)

    def choose(self, units: str | None, count: int) -> list[int]:
        """The units, of so many. Raises UnitOutOfRangeError and JobTooLargeError."""
        chosen = select(units or f"0-{min(count, self.default) - 1}", count, UnitOutOfRangeError)
        if len(chosen) > self.most:
            raise JobTooLargeError(
                f"{len(chosen)} units are more than the {self.most} of one job: ask for fewer", "units"
            )
        return chosen
