"""Who may speak to the service, by what a connection and a request's head say. Only `keys` knows routes but probes."""

from typing import Final

# They are asked by address, by what knows neither names nor origins: kubelet, Prometheus, a load balancer.
PROBES: Final = frozenset({"/livez", "/readyz"})
EXEMPT: Final = PROBES | {"/metrics"}
